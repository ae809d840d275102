"""The workspace as a team writes it: one struct for each mapping of WORKSPACE's YAML.

`engine.program.shape` decodes into these, `check` and `compile` read them, and the JSON Schema for
editors is made from them, so names, meanings and descriptions are written once, here. Durations,
caps, windows, conditions and templates are still text; `compile` reads those.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from engine.instants import format_duration
from engine.limits import SESSION_MS_DEFAULT, UNREACHABLE_MS_DEFAULT
from engine.program.catalogue import CatalogueKindSpec
from engine.program.consentmodel import DoubleOptInSpec, PreferenceCentreSpec, RegistrySpec
from engine.program.contentmodel import ContentSpec, LimitsSpec, TrackingSpec
from engine.program.identitymodel import IdentitySpec
from engine.program.journeymodel import JourneySpec, ValueSpec
from engine.program.lifecycle import LifecycleSpec
from engine.program.mappingmodel import MappingSpec
from engine.program.policymodel import Amount, PoliciesSpec
from engine.program.privacy import PiiSpec, RetentionSpec
from engine.program.texts import (
    CapText,
    ChannelName,
    ConditionText,
    ConsentMode,
    CountryCode,
    Duration,
    Hours,
    Ignorable,
    OnBlock,
    Purpose,
    Release,
    Text,
)
from engine.program.traitmodel import RfmSpec, TraitSpec
from engine.program.trialmodel import TrialSpec

ADAPTERS = (
    "log", "smtp", "webhook", "inbox", "twilio", "vonage", "messagebird", "africastalking",
    "whatsapp_cloud", "fcm", "apns", "webpush", "apprise", "audience", "ussd", "desk",
)  # fmt: skip
DEFAULT_CONTENT = "default"  # the content that serves every channel without its own
PURPOSES_KNOWN = ("marketing", "service")


class DefaultsSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for a customer of whom we know no better."""

    timezone: Annotated[
        str, Meta(min_length=1, description="An IANA zone.", examples=["Africa/Johannesburg"])
    ] = "UTC"
    country: CountryCode = ""
    locale: Annotated[str, Meta(min_length=1, examples=["en-ZA"])] = ""
    currency: Annotated[str, Meta(min_length=1, examples=["ZAR"])] = ""


AdapterName = Annotated[
    str,
    Meta(
        min_length=1,
        description="What carries the messages.",
        extra_json_schema={"enum": list(ADAPTERS)},
    ),
]
ChannelSettings = Annotated[
    dict[str, Any],
    Meta(description="What the adapter needs to know; `{env: NAME}` reads the environment."),
]


class BackupSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """The provider that steps in where a channel's own does not take messages."""

    adapter: AdapterName
    settings: ChannelSettings = {}


class ChannelSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """One way to reach a customer."""

    adapter: AdapterName
    identity: Annotated[
        str,
        Meta(
            min_length=1,
            description=(
                "The trait that holds the address here; absent: the customer id is the address."
            ),
            examples=["email", "phone", "push_token"],
        ),
    ] = ""
    window: Hours = UNSET
    caps: Annotated[tuple[CapText, ...], Meta(description="The most one customer gets here.")] = ()
    substitute: Annotated[
        str,
        Meta(min_length=1, description="The channel a blocked message goes to instead."),
    ] = ""
    supports: Annotated[
        tuple[Text, ...], Meta(description="What this channel can carry that others can't.")
    ] = ()
    cost: Annotated[
        float, Meta(ge=0, description="The price of one message, in the workspace's currency.")
    ] = 0.0
    budget: Annotated[
        Amount | UnsetType,
        Meta(
            description=(
                "The most that messages may cost here in a day of the workspace's own time zone."
            ),
        ),
    ] = UNSET
    reply_window: Annotated[
        Duration | UnsetType,
        Meta(
            description=(
                "How long after the customer last wrote here content of one's own may go, as on "
                "WhatsApp; outside it only content with a `template`."
            )
        ),
    ] = UNSET
    reply_event: Annotated[
        str,
        Meta(
            min_length=1,
            description="The event by which the customer writes here, besides `replied` receipts.",
            examples=["WhatsApp Message Received"],
        ),
    ] = ""
    unreachable: Annotated[
        Duration,
        Meta(
            description=(
                "How long nothing is sent here to an address that is not on this channel; twice "
                "that after the second time, for good after the third."
            )
        ),
    ] = format_duration(UNREACHABLE_MS_DEFAULT)
    engagement: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description=(
                "The share of messages here that are opened, clicked or answered, of customers "
                "nothing is known of; for `choose: best`."
            ),
        ),
    ] = 0.1
    latency: Annotated[
        Duration | UnsetType,
        Meta(description="How long it takes until a message here is seen; for urgent types."),
    ] = UNSET
    settings: ChannelSettings = {}
    backup: BackupSpec | UnsetType = UNSET
    limits: LimitsSpec = LimitsSpec()
    tracking: TrackingSpec = TrackingSpec()


class FallbackSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """When the next channel follows one that took a message, of which nothing was heard."""

    unless: Annotated[
        Literal["delivered", "engaged"],
        Meta(
            description=(
                "What keeps it from following: that the message arrived, or that the customer "
                "opened, clicked or answered it."
            )
        ),
    ]
    within: Annotated[Duration, Meta(description="How long that is waited for.")]
    if_: ConditionText = field(default="", name="if")


class MessageTypeSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of message: its purpose, its channels in order, and the rules it is above."""

    purpose: Purpose
    channels: Annotated[
        tuple[ChannelName, ...],
        Meta(min_length=1, description="The first is primary, the rest are fallbacks in order."),
    ]
    requires: Annotated[
        tuple[Text, ...], Meta(description="What a channel must support to carry it.")
    ] = ()
    ignores: Annotated[
        tuple[Ignorable, ...], Meta(description="The rules that don't hold for it.")
    ] = ()
    counts: Annotated[bool, Meta(description="Whether it uses up caps.")] = True
    expires: Annotated[
        Duration | UnsetType,
        Meta(description="How long after it was first proposed it is worth sending."),
    ] = UNSET
    delivery: Annotated[
        Literal["at_least_once", "at_most_once"] | UnsetType,
        Meta(
            description=(
                "What to do when a crash leaves it unknown whether a message left: resend it or "
                "report it; absent: service messages are resent, others are not."
            )
        ),
    ] = UNSET
    on_block: Annotated[
        tuple[OnBlock, ...], Meta(description="What to try, in order, when a rule blocks it.")
    ] = ()
    window: Hours = UNSET
    caps: Annotated[
        tuple[CapText, ...], Meta(description="The most of this type one customer gets.")
    ] = ()
    priority: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=100,
                description=(
                    "Who goes first where several want the same customer; absent: 50, and 100 for "
                    "service messages."
                ),
            ),
        ]
        | UnsetType
    ) = UNSET
    fallback: Annotated[
        FallbackSpec | tuple[FallbackSpec, ...] | UnsetType,
        Meta(
            description=(
                "When the next channel follows though none has failed: one rule, or a list of them."
            )
        ),
    ] = UNSET
    follow_up: Annotated[
        str,
        Meta(
            min_length=1,
            description="The channel that carries the message too, once it went out on another.",
        ),
    ] = ""
    max_cost: (
        Annotated[
            float,
            Meta(ge=0, description="What one message may cost, all channels it takes together."),
        ]
        | UnsetType
    ) = UNSET
    choose: Annotated[
        Literal["order", "best"],
        Meta(
            description=(
                "How the first channel is found: in the order of `channels`, or by what a message "
                "is likely to bring there, less what it costs."
            )
        ),
    ] = "order"
    urgent: Annotated[
        bool, Meta(description="With `choose: best`: the channel of least `latency` goes first.")
    ] = False
    release: Annotated[
        Release | UnsetType,
        Meta(
            description=(
                "What becomes of messages that piled up while hours were closed: all go, the "
                "newest, the best by priority and value, or none; absent: the policies' `release`."
            )
        ),
    ] = UNSET
    tracking: TrackingSpec = TrackingSpec()


class MessageSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Something to say, with content for each channel it may go to."""

    type: Annotated[str, Meta(min_length=1, description="The name of a message type.")]
    content: Annotated[
        ContentSpec,
        Meta(
            description=(
                "By channel, fields (subject, body, html, title …) in Liquid; `default` serves the "
                "channels without content of their own. `mjml` is compiled to `html`."
            )
        ),
    ]
    locales: Annotated[
        dict[str, ContentSpec],
        Meta(
            description=(
                "By locale (zu, zu-ZA), content for those who read it; `content` is for all others."
            )
        ),
    ] = {}
    value: Annotated[float, Meta(ge=0, description="What one conversion is worth.")] = 0.0
    priority: (
        Annotated[
            int, Meta(ge=0, le=100, description="Its own priority; absent: that of its type.")
        ]
        | UnsetType
    ) = UNSET
    enrich: Annotated[
        dict[str, str | int | float | bool | ValueSpec],
        Meta(description="What `enrich` in `on_block` writes into the profile instead."),
    ] = {}


class WorkspaceSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A workspace: everything a team decides about how its customers are contacted."""

    workspace: Annotated[str, Meta(min_length=1, description="Its name.")]
    seed: Annotated[int, Meta(description="The same seed replays the same choices of chance.")] = 0
    session: Annotated[
        Duration, Meta(description="How long after their last event a customer is still there.")
    ] = format_duration(SESSION_MS_DEFAULT)
    defaults: DefaultsSpec = DefaultsSpec()
    consent: Annotated[
        dict[str, ConsentMode | dict[str, ConsentMode]],
        Meta(
            description=(
                "By purpose: `opt_in` needs a grant, `opt_out` does not; or a map of countries to "
                "these, with `default`. Absent: opt_in, and opt_out for `service`."
            )
        ),
    ] = {}
    double_opt_in: DoubleOptInSpec | UnsetType = UNSET
    preference_centre: PreferenceCentreSpec = PreferenceCentreSpec()
    registries: Annotated[
        dict[str, RegistrySpec], Meta(description="Opt-out registries, by a name of your own.")
    ] = {}
    channels: dict[str, ChannelSpec] = {}
    message_types: dict[str, MessageTypeSpec] = {}
    policies: PoliciesSpec = PoliciesSpec()
    messages: dict[str, MessageSpec] = {}
    segments: Annotated[
        dict[str, ConditionText],
        Meta(description="Named conditions about customers; who is in them is kept up to date."),
    ] = {}
    journeys: dict[str, JourneySpec] = {}
    identity: Annotated[
        IdentitySpec, Meta(description="Which identities count, and which make two customers one.")
    ] = IdentitySpec()
    mapping: Annotated[
        tuple[MappingSpec, ...],
        Meta(description="What is done to events as they come in: renamed, converted, left out."),
    ] = ()
    traits: Annotated[
        dict[str, TraitSpec],
        Meta(description="Traits kept up to date by events, read as `profile.NAME`."),
    ] = {}
    rfm: RfmSpec = RfmSpec()
    pii: PiiSpec = PiiSpec()
    retention: RetentionSpec = RetentionSpec()
    catalogue: Annotated[
        dict[str, CatalogueKindSpec],
        Meta(description="Kinds of items that events name: products, stores, content, and others."),
    ] = {}
    lifecycle: LifecycleSpec = LifecycleSpec()
    tests: Annotated[
        dict[str, TrialSpec],
        Meta(description="Tests of this workspace, by name; `nextbeat test` runs them."),
    ] = {}
