"""The compiled workspace: frozen tables the engine decides with.

Built once by `engine.program.compile`, read by `decide` and everything below it. Nothing in here
changes after it was built; a new workspace is a new `Program`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from engine.identities import NO_RULES, IdentityRules
from engine.instants import DAY_MS
from engine.limits import UNREACHABLE_MS_DEFAULT
from engine.links import CONFIRMED
from engine.program.catalogue import Joins, compile_joins
from engine.program.condition import Condition
from engine.program.journey import Agenda, Journey, WaitFor
from engine.program.mappings import Mappings
from engine.program.privacy import Pii, Retention
from engine.program.scope import Scope
from engine.program.sizes import NO_LIMITS, Limits
from engine.records import Shape
from engine.traits.live import RFM_DEFAULT, LiveTrait, RfmRules
from engine.windows import Window

SESSION = "session"  # the window of channels that reach only people who are there


class Cap(msgspec.Struct, frozen=True):
    """At most `count_max` counted sends in a window.

    `period` is "" for a rolling window of `window_ms`, else `calendar_day`, `calendar_week`,
    `calendar_month` (in customer time) or `session`.
    """

    count_max: int
    window_ms: int
    period: str
    rule: str  # where it is written, like `channels.email.caps[0]`
    text: str  # as written, like `2 / 24h`


class SharedCap(msgspec.Struct, frozen=True):
    """A cap over several channels and purposes; an empty tuple means all of them."""

    cap: Cap
    channels: tuple[str, ...]
    purposes: tuple[str, ...]


class Backoff(msgspec.Struct, frozen=True):
    """The fuller a shared cap, the longer the gap: gap_ms * factor ** (used - ceil(share * n))."""

    share: float
    gap_ms: int
    factor: float


class Cooldown(msgspec.Struct, frozen=True):
    """At least `gap_ms` after the last send on any channel; `purposes` empty means all."""

    gap_ms: int
    purposes: tuple[str, ...]


class Holidays(msgspec.Struct, frozen=True):
    """No messages of these purposes on public holidays.

    `calendar` is "" for the customer's own country, else the country whose holidays hold for all.
    Days are counted from 1970-01-01.
    """

    calendar: str
    purposes: tuple[str, ...]
    except_on: frozenset[int]


class Blackout(msgspec.Struct, frozen=True):
    """Nothing goes out from the first to the last of these days, but for the exceptions."""

    name: str
    first_on: int
    last_on: int
    except_on: frozenset[int]
    purposes: tuple[str, ...]
    channels: tuple[str, ...]
    countries: tuple[str, ...]
    rule: str


class EngagementPolicy(msgspec.Struct, frozen=True):
    """Caps grow with the share of messages of the last `window_ms` that were engaged with.

    `high` and `low` are (rate, factor), None where there is no such level.
    """

    window_ms: int
    least: int
    high: tuple[float, float] | None
    low: tuple[float, float] | None
    purposes: tuple[str, ...]


class WorkspacePace(msgspec.Struct, frozen=True):
    """How fast messages leave over all channels together."""

    per_second: float
    burst: int


class Suppression(msgspec.Struct, frozen=True):
    """After `event` (where `condition` holds) nothing of `purposes` goes out for `for_ms`."""

    name: str
    event: str
    condition: Condition | None
    for_ms: int
    purposes: tuple[str, ...]
    rule: str


class Tracking(msgspec.Struct, frozen=True):
    """Whether it is noticed that a message is opened, and its links followed.

    None is left to the channel, and there it is no. With a `purpose` it takes consent to that.
    """

    clicks: bool | None = None
    opens: bool | None = None
    purpose: str | None = None


UNTRACKED = Tracking()


class Backup(msgspec.Struct, frozen=True):
    """The provider that steps in where a channel's own does not take messages."""

    adapter: str
    settings: Mapping[str, Any]


class Channel(msgspec.Struct, frozen=True):
    """One way to reach a customer, as the workspace describes it.

    `session_only` channels are open while the customer's session is; `window` None is any time.
    `identity` is the trait or namespace that holds the address; "" means the customer id itself.
    """

    name: str
    adapter: str
    identity: str
    window: Window | None
    session_only: bool
    caps: tuple[Cap, ...]
    substitute: str
    supports: tuple[str, ...]
    cost: float
    settings: Mapping[str, Any]
    reply_ms: int | None = None  # how long after the customer wrote free-form content may go
    reply_event: str = ""
    limits: Limits = NO_LIMITS
    tracking: Tracking = UNTRACKED
    unreachable_ms: int = UNREACHABLE_MS_DEFAULT  # how long who is not there is not tried again
    engagement: float = 0.1  # the share of messages engaged with, of customers we know nothing of
    latency_ms: int | None = None  # how long a message takes to be seen
    backup: Backup | None = None
    budget: float | None = None  # what a day's messages may cost


class Fallback(msgspec.Struct, frozen=True):
    """The next channel follows where this did not happen within `within_ms` of a send.

    `unless` is delivered or engaged; with a condition, only customers for whom it holds.
    """

    unless: str
    within_ms: int
    condition: Condition | None
    rule: str


class MessageType(msgspec.Struct, frozen=True):
    """What kind of message: its purpose, its channels in order, and which rules it is above."""

    name: str
    purpose: str
    channels: tuple[str, ...]
    requires: tuple[str, ...]
    ignores: frozenset[str]  # window, caps, cooldown, suppression, holidays, backoff, same_message
    counts: bool
    expires_ms: int | None
    at_least_once: bool
    on_block: tuple[str, ...]  # substitute, fallback, defer, drop, enrich: in the order to be tried
    window: Window | None = None
    caps: tuple[Cap, ...] = ()
    release: str = "all"  # of what piled up while hours were closed: all, newest, best or drop
    fallbacks: tuple[Fallback, ...] = ()
    follow_up: str = ""  # the channel that carries it too, once it went out on another
    max_cost: float | None = None  # of all channels that one message of it takes
    chooses_best: bool = False  # by score, rather than by the order of `channels`
    is_urgent: bool = False  # the quicker channel goes first
    tracking: Tracking = UNTRACKED


class Template(msgspec.Struct, frozen=True):
    """A Liquid text: rendered with a mapping of names, raises `TemplateError` when it can't be."""

    source: str
    render: Callable[[Mapping[str, Any]], str]
    traits: tuple[str, ...] = ()  # those it shows that have to be worked out
    is_local: bool = False  # it asks in which locale it is read


class Message(msgspec.Struct, frozen=True):
    """Something to say, with content by channel; `default` content serves the other channels."""

    name: str
    type: MessageType
    content: Mapping[str, Mapping[str, Template]]
    value: float
    priority: int = 50  # 0 to 100: who goes first where several want the same customer
    enrich: tuple[tuple[str, Condition], ...] = ()  # traits to write where nothing is sent
    tells_event: bool = False  # its content shows what its journey began with, or its variables
    locales: Mapping[str, Mapping[str, Mapping[str, Template]]] = {}  # content by locale

    @property
    def rank(self) -> tuple[int, float]:
        """Say how much this message matters, to compare with others."""
        return self.priority, self.value


class Feed(msgspec.Struct, frozen=True):
    """A measure that an event goes into: by which key, under which condition, with what value.

    The value is the first of the properties `of` that there is, a number where `numeric`; without
    one the event does not go in, unless there are no `of` or it `is_optional`. With `each` it is
    looked for in every element of the list of that name too. `keep_ms` is as in `Gathered`.
    """

    key: str
    shape: Shape
    of: tuple[str, ...] = ()
    numeric: bool = False
    condition: Condition | None = None
    keep_ms: int = 0
    weight: float = 1.0
    each: str = ""
    is_optional: bool = False


class HistoryNeed(msgspec.Struct, frozen=True):
    """What is kept of one event: how far back, which numbers, and what else it feeds.

    A window of 0 is no need to keep instants.
    """

    window_ms: int
    values: tuple[str, ...]
    feeds: tuple[Feed, ...] = ()


class Segment(msgspec.Struct, frozen=True):
    """A named condition about a customer.

    `flip` gives whether it holds, and an instant before which time alone can't change that.
    """

    name: str
    source: str
    flip: Callable[[Scope], tuple[bool, int]]


class Membership(msgspec.Struct, frozen=True):
    """The segments, and which of them are to be looked at when something happens.

    All tuples are in an order in which a segment comes after those its condition asks for.
    `version` is a number for what all conditions say, 0 without any.
    """

    version: int = 0
    segments: Mapping[str, Segment] = {}
    by_event: Mapping[str, tuple[Segment, ...]] = {}
    by_anything: tuple[Segment, ...] = ()  # with every event, whatever its name
    by_trait: Mapping[str, tuple[Segment, ...]] = {}
    by_any_trait: tuple[Segment, ...] = ()  # for the traits that are not in `by_trait`
    by_engagement: Mapping[str, tuple[Segment, ...]] = {}  # "channel/status"
    by_contact: tuple[Segment, ...] = ()  # with every receipt, and every message that is sent
    by_time: tuple[Segment, ...] = ()
    starts: Mapping[tuple[str, str], tuple["Journey", ...]] = {}  # by segment and entered or left
    has_traits: bool = False  # some segment looks at a trait


class Defaults(msgspec.Struct, frozen=True):
    """What holds for a customer of whom we know no better."""

    timezone: str = "UTC"
    country: str = ""
    locale: str = ""
    currency: str = ""


class DoubleOptIn(msgspec.Struct, frozen=True):
    """Consent to these purposes on these channels holds once it is confirmed.

    `message` asks for it; its link works for `expires_ms`, and no second one follows within
    `gap_ms` on the same channel.
    """

    purposes: tuple[str, ...]
    channels: tuple[str, ...]
    message: str
    expires_ms: int
    gap_ms: int


class Registry(msgspec.Struct, frozen=True):
    """An opt-out registry: which purposes and channels it is about, and how old it may be.

    `countries` empty is everywhere; `identities` are the traits with the addresses to look up;
    `key_variable` names the environment variable with the key of its hashes, "" where they have
    none.
    """

    name: str
    file: str
    purposes: tuple[str, ...]
    channels: tuple[str, ...]
    identities: tuple[str, ...]
    countries: tuple[str, ...]
    age_ms_max: int
    key_variable: str


class PreferenceCentre(msgspec.Struct, frozen=True):
    """What customers can choose on their page; `texts` are by language, the first the default."""

    purposes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    texts: Mapping[str, Mapping[str, str]] = {}


class Lifecycle(msgspec.Struct, frozen=True):
    """The event that counts as an order, and the times after it that tell the stages apart."""

    order: str = "Order Completed"
    new_ms: int = 30 * DAY_MS
    at_risk_ms: int = 60 * DAY_MS
    lapsed_ms: int = 180 * DAY_MS


class Program(msgspec.Struct, frozen=True):
    """A whole workspace, compiled. `version` is `sha256:` and a hash of all it says."""

    name: str
    version: str
    seed: int
    defaults: Defaults
    session_ms: int
    opt_out: Mapping[str, tuple[str, ...]]  # purpose -> countries (or "*") that need no grant
    channels: Mapping[str, Channel]
    types: Mapping[str, MessageType]
    messages: Mapping[str, Message]
    caps: tuple[SharedCap, ...]
    backoff: Backoff | None
    cooldown: Cooldown | None
    suppressions: Mapping[str, tuple[Suppression, ...]]  # by event name
    suppression_rules: Mapping[str, Suppression]  # by rule name
    same_message_ms: int | None
    membership: Membership
    journeys: Mapping[str, Journey]
    triggers: Mapping[str, tuple[Journey, ...]]  # by event name, what matters most first
    history: Mapping[str, HistoryNeed]  # by event name
    archive: Mapping[str, Journey] = {}  # by version: journeys people are still in
    # By event, the versions of journeys in which it meets a goal, ends a wait or takes people out.
    awaited: Mapping[str, frozenset[str]] = {}
    watched: frozenset[str] = frozenset()  # versions that any event may take people out of
    departed: Mapping[tuple[str, str], frozenset[str]] = {}  # by segment and entered or left
    heard: frozenset[str] = frozenset()  # awaited events, triggers and those that suppress
    awaits_segments: bool = False  # some wait ends with a segment, so with any event
    holidays: Holidays | None = None
    blackouts_on: Mapping[int, tuple[Blackout, ...]] = {}  # by day, without the exceptions
    regions: tuple[str, ...] = ()  # packs of law, by name
    engagement: EngagementPolicy | None = None
    look_ahead_ms: int = 0
    spread_ms: int = 0  # over which customers come out when hours open
    pacing: WorkspacePace | None = None
    budget: float | None = None  # what a day's messages may cost on all channels together
    identity: IdentityRules = NO_RULES
    mappings: Mappings = {}  # what is done to calls as they come in, by the name of the event
    traits: Mapping[str, LiveTrait] = {}  # the declared ones
    rfm: RfmRules = RFM_DEFAULT
    pii: Pii = Pii()
    retention: Retention = Retention()
    double_opt_in: DoubleOptIn | None = None
    centre: PreferenceCentre = PreferenceCentre()
    registries: tuple[Registry, ...] = ()
    joins: Joins = compile_joins({})  # how events name items of the catalogue
    lifecycle: Lifecycle = Lifecycle()
    agenda: Agenda = Agenda()
    edition: int = 0  # when it is another, every customer is looked at again

    def with_archive(self, archive: Mapping[str, Journey]) -> "Program":
        """Take in the journeys of earlier workspaces, by version."""
        every = [*self.journeys.values(), *archive.values()]
        awaited = awaited_events(every)
        watched = watched_versions(every)
        # What any event may end is looked at with every event, also with those others wait for.
        joined = {name: versions | watched for name, versions in awaited.items()}
        return msgspec.structs.replace(
            self,
            archive=archive,
            awaited=joined,
            watched=watched,
            departed=departures(every),
            heard=frozenset((*awaited, *self.triggers, *self.suppressions, CONFIRMED)),
            awaits_segments=awaits_segments(every),
        )

    def step_at(self, name: str, version: str, position: int) -> str:
        """Name the step that somebody in a journey stands at; "" where that is not known."""
        journey = self.journey(name, version)
        if journey is None or position >= len(journey.code):
            return ""
        return journey.code[position].step

    def journey(self, name: str, version: str) -> Journey | None:
        """Find the journey an instance is in, in the version it entered with."""
        current = self.journeys.get(name)
        if current is not None and current.version == version:
            return current
        return self.archive.get(version)


def awaited_events(journeys: Iterable[Journey]) -> dict[str, frozenset[str]]:
    """Collect the events that some goal, wait or ending looks out for, and in which versions."""
    found: dict[str, frozenset[str]] = {}
    for journey in journeys:
        names = [wait.event for wait in _waits([journey])]
        names += [rule.event for rule in journey.exits]
        if journey.goal is not None:
            names.append(journey.goal.event)
        for name in filter(None, names):
            found[name] = found.get(name, frozenset()) | {journey.version}
    return found


def watched_versions(journeys: Iterable[Journey]) -> frozenset[str]:
    """Collect the versions of journeys that a condition on its own takes people out of."""
    return frozenset(
        journey.version
        for journey in journeys
        if any(not rule.event and not rule.segment for rule in journey.exits)
    )


def departures(journeys: Iterable[Journey]) -> dict[tuple[str, str], frozenset[str]]:
    """Collect, by segment, the versions of journeys that entering or leaving it ends."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for journey in journeys:
        for rule in journey.exits:
            key = rule.segment, rule.on
            if rule.segment:
                found[key] = found.get(key, frozenset()) | {journey.version}
    return found


def awaits_segments(journeys: Iterable[Journey]) -> bool:
    """Say whether some wait ends when the customer is in a segment."""
    return any(wait.segment for wait in _waits(journeys))


def _waits(journeys: Iterable[Journey]) -> list[WaitFor]:
    return [
        instruction.wait_for
        for journey in journeys
        for instruction in journey.code
        if instruction.wait_for is not None
    ]
