"""Consent and preferences as a team writes them, beside the purposes that need a grant.

Part of `model`, which has the whole workspace.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from engine.program.texts import ChannelName, CountryCode, Duration, MessageName, Purpose, Text


class DoubleOptInSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Consent that holds only once it is confirmed by a link that went to the address."""

    message: MessageName
    channels: Annotated[
        tuple[ChannelName, ...],
        Meta(min_length=1, description="The channels on which a grant has to be confirmed."),
    ]
    purposes: Annotated[tuple[Purpose, ...], Meta(min_length=1)] = ("marketing",)
    expires: Annotated[Duration, Meta(description="How long the link works.")] = "7d"
    gap: Annotated[
        Duration, Meta(description="No second such message on a channel within this time.")
    ] = "1d"


class PreferenceCentreSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What customers can choose on their page, and in which words."""

    purposes: Annotated[
        tuple[Purpose, ...],
        Meta(description="What they may allow, channel by channel; absent: all but `service`."),
    ] = ()
    types: Annotated[
        tuple[Text, ...],
        Meta(description="Message types they may opt out of, and choose a channel for."),
    ] = ()
    texts: Annotated[
        dict[str, dict[str, str]],
        Meta(
            description="By language, by key: the words of the page; the first is the default.",
            examples=[{"en": {"purpose.marketing": "News and offers"}}],
        ),
    ] = {}


class KeySpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A key that is kept in the environment."""

    env: Annotated[str, Meta(min_length=1, description="The variable that holds it.")]


class RegistrySpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A list of hashed addresses that are to be left alone."""

    file: Annotated[
        str,
        Meta(
            min_length=1,
            description="SHA-256 in hex, one a line. A path from the workspace's folder.",
            examples=["lists/za.txt.gz"],
        ),
    ]
    channels: Annotated[tuple[ChannelName, ...], Meta(min_length=1)]
    max_age: Annotated[
        Duration, Meta(description="A list older than this is not relied on: nothing goes.")
    ]
    purposes: Annotated[tuple[Purpose, ...], Meta(min_length=1)] = ("marketing",)
    countries: Annotated[
        tuple[CountryCode, ...], Meta(description="Whose customers it is about; absent: everybody.")
    ] = ()
    key: Annotated[
        KeySpec | UnsetType, Meta(description="The key of the hashes, where they are HMACs.")
    ] = UNSET
