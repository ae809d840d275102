"""The contact policy as a team writes it: what holds whichever journey proposes a message.

Part of `model`, which has the whole workspace.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from engine.program.texts import (
    CapText,
    ChannelName,
    ConditionText,
    CountryCode,
    Day,
    Duration,
    EventName,
    OnBlock,
    Purpose,
    Release,
    Text,
)

CUSTOMER_CALENDAR = "customer"  # the holidays of where each customer is


class SharedCapSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A cap over several channels and purposes; those not named are all of them."""

    limit: CapText
    channels: tuple[ChannelName, ...] = ()
    purposes: tuple[Purpose, ...] = ()


class BackoffSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """The fuller a shared cap, the longer the gap after a send."""

    gap: Duration
    from_: Annotated[
        float, Meta(gt=0, le=1, description="The share of a cap from which on gaps are kept.")
    ] = field(default=0.5, name="from")
    factor: Annotated[float, Meta(ge=1, description="How much each gap grows.")] = 2.0


class CooldownSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """The least time between two messages, whatever the channel."""

    gap: Duration
    purposes: tuple[Purpose, ...] = ()


class SuppressionSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A silence after an event."""

    name: Annotated[str, Meta(min_length=1, description="What the audit trail calls it.")]
    after: EventName
    for_: Duration = field(name="for")
    if_: ConditionText = field(default="", name="if")
    purposes: tuple[Purpose, ...] = ()


class HolidaysSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """No messages on public holidays."""

    calendar: Annotated[
        str,
        Meta(
            min_length=1,
            description="`customer`: those of where they are; or a country's, for everybody.",
            examples=["customer", "ZA"],
        ),
    ] = CUSTOMER_CALENDAR
    purposes: tuple[Purpose, ...] = ()
    except_: Annotated[
        tuple[Day, ...], Meta(description="Holidays on which messages go all the same.")
    ] = field(default=(), name="except")


class BlackoutSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Days of the workspace's own on which nothing goes out."""

    name: Annotated[str, Meta(min_length=1, description="What the audit trail calls it.")]
    from_: Day = field(name="from")
    to: Annotated[
        Day | UnsetType, Meta(description="The last of these days; absent: `from` alone.")
    ] = UNSET
    purposes: tuple[Purpose, ...] = ()
    channels: tuple[ChannelName, ...] = ()
    countries: tuple[CountryCode, ...] = ()
    except_: Annotated[
        tuple[Day, ...], Meta(description="Days among them on which messages go all the same.")
    ] = field(default=(), name="except")


class EngagementLevelSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """From (or up to) which rate of engagement caps are multiplied by what."""

    rate: Annotated[float, Meta(ge=0, le=1, description="Engaged messages in all messages.")]
    factor: Annotated[float, Meta(gt=0, le=10, description="What caps are multiplied by.")]


class EngagementSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Who engages may hear from us more often, who does not less."""

    window: Duration = "30d"
    least: Annotated[
        int, Meta(ge=1, le=200, description="With fewer messages in the window caps stay as is.")
    ] = 5
    high: EngagementLevelSpec | UnsetType = UNSET
    low: EngagementLevelSpec | UnsetType = UNSET
    purposes: tuple[Purpose, ...] = ("marketing",)


class ReleaseSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """How what piled up while hours were closed comes out when they open."""

    policy: Release = "all"
    spread: Annotated[
        Duration | UnsetType,
        Meta(description="Customers come out one after another over this time; absent: at once."),
    ] = UNSET


Amount = Annotated[float, Meta(ge=0)]  # of the workspace's currency


class PacingSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """How fast messages leave over all channels together."""

    per_second: Annotated[float, Meta(gt=0, le=100_000, description="The most messages a second.")]
    burst: Annotated[
        int, Meta(ge=1, le=100_000, description="How many may go at once before that pace holds.")
    ] = 1


class PoliciesSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """The contact policy: what holds whichever journey proposes a message."""

    caps: Annotated[
        tuple[SharedCapSpec, ...], Meta(description="All that match apply; the strictest wins.")
    ] = ()
    backoff: BackoffSpec | UnsetType = UNSET
    cooldown: CooldownSpec | UnsetType = UNSET
    suppress: tuple[SuppressionSpec, ...] = ()
    same_message: Annotated[
        Duration | UnsetType,
        Meta(description="The same message goes out at most once in this time."),
    ] = UNSET
    on_block: Annotated[
        tuple[OnBlock, ...], Meta(description="What to try, in order, when a rule blocks.")
    ] = ("substitute", "defer")
    holidays: HolidaysSpec | UnsetType = UNSET
    blackouts: tuple[BlackoutSpec, ...] = ()
    regions: Annotated[
        tuple[Text, ...],
        Meta(
            description=(
                "Packs of law that hold for customers of those countries; `nextbeat regions` lists "
                "them."
            ),
            examples=[["ZA", "US"]],
        ),
    ] = ()
    engagement: EngagementSpec | UnsetType = UNSET
    look_ahead: Annotated[
        Duration | UnsetType,
        Meta(
            description=(
                "A message does not take the place that one of higher priority needs which is "
                "planned within this time."
            )
        ),
    ] = UNSET
    release: ReleaseSpec = ReleaseSpec()
    pacing: PacingSpec | UnsetType = UNSET
    budget: Annotated[
        Amount | UnsetType,
        Meta(
            description=(
                "The most that messages may cost in a day of the workspace's own time zone, over "
                "all channels."
            ),
        ),
    ] = UNSET
