"""What a team writes about content beside its texts: limits, tracking, and content by locale.

Part of `model`. The texts themselves are read by `leaves`; what the rest means is in `sizes`,
`engine.choice.tracking` and `locales`.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

MJML, HTML_FIELD = "mjml", "html"  # the first is written, the second is what becomes of it
TEMPLATE_FIELD = "template"  # names what a provider has approved


class ContentFileSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A text kept in a file of its own."""

    file: Annotated[
        str,
        Meta(
            min_length=1,
            description="The file, from the workspace's `content` folder.",
            examples=["welcome.liquid"],
        ),
    ]


ContentSpec = dict[str, dict[str, str | ContentFileSpec]]  # by channel and field


class TrackingSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether it is noticed that messages are opened and their links followed."""

    clicks: Annotated[
        bool | UnsetType,
        Meta(description="Links lead over this server, which notes that they were followed."),
    ] = UNSET
    opens: Annotated[
        bool | UnsetType,
        Meta(description="HTML has a picture of one pixel that tells when it is shown."),
    ] = UNSET
    purpose: Annotated[
        str | UnsetType,
        Meta(
            description=(
                "Only with the customer's consent to this purpose, like `analytics`; absent or "
                '"": for everybody.'
            )
        ),
    ] = UNSET


class LimitsSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """How much one message may be; absent: what the providers of such a channel take."""

    segments: (
        Annotated[int, Meta(ge=1, le=255, description="Of an SMS: the parts it is sent in.")]
        | UnsetType
    ) = UNSET
    subject: Annotated[int, Meta(ge=1, description="Characters of a subject.")] | UnsetType = UNSET
    title: Annotated[int, Meta(ge=1, description="Characters of a title.")] | UnsetType = UNSET
    body: Annotated[int, Meta(ge=1, description="Characters of a body.")] | UnsetType = UNSET
    bytes: (
        Annotated[int, Meta(ge=512, description="Of a push message: bytes of its payload.")]
        | UnsetType
    ) = UNSET
