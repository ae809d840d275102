"""What we know of one customer. Owned by one actor, changed only by `evolve`.

A snapshot is this struct as a msgpack array: fields are added at the end, with a default.
"""

from typing import Any

import msgspec

from engine.events import ConsentStatement, Listing
from engine.instants import NEVER_AT
from engine.ledger import Slot, Tally
from engine.measures.affinity import Affinity
from engine.measures.distinct import Distinct, Firsts
from engine.measures.engaged import Engaged
from engine.measures.reach import Reach
from engine.measures.series import Series
from engine.measures.summary import Summary
from engine.origins import Origin
from engine.seen import SeenPart

# Structs below hold plain values only, never each other in a circle, so the garbage collector
# need not walk them (gc=False): with ten thousand customers in memory that is most of its work.


Measure = Series | Summary | Distinct | Firsts | Affinity | Engaged


class History(msgspec.Struct, array_like=True, gc=False):
    """How often one event happened: counted for ever, and kept in detail while conditions look."""

    count: int = 0
    first_at: int = 0
    last_at: int = 0
    recent: Series | None = None


class Sent(msgspec.Struct, array_like=True, gc=False):
    """A message that left, for matching what comes back about it.

    `instance` is the stay it belongs to, and not the branch of it that sent the message.
    """

    message_id: str
    proposal: int
    message: str
    message_type: str
    channel: str
    at: int
    journey: str
    instance: int
    step: str
    proposed_at: int
    expires_at: int | None
    pinned: str
    failed: tuple[str, ...]
    attempt: int
    statuses: list[str] = []
    event: dict[str, Any] = {}  # what its journey began with, while another channel may need it
    is_over: bool = False  # its journey's goal was met: nothing follows it any more
    vars: dict[str, Any] = {}  # of its journey, as long as `event`
    is_apart: bool = False  # its journey went with who was parted: only consent and slots follow
    address: str = ""
    follows: int = 0  # the proposal whose message it follows up, or 0
    watch_timer: int = 0  # for what becomes of it, or 0
    watch_at: int = 0  # when that is looked at, or 0
    out_at: int = 0  # when its provider took it, as far as is known
    is_left: bool = False  # its journey was left by `exit_on`: nothing follows it any more


class Pending(msgspec.Struct, array_like=True, gc=False):
    """A deferred proposal: it is decided again when its timer fires."""

    proposal: int
    message: str
    message_type: str
    channel: str
    journey: str
    instance: int
    step: str
    timer: int
    next_eligible: int
    proposed_at: int
    expires_at: int | None
    pinned: str
    failed: tuple[str, ...]
    attempt: int
    by_calendar: bool = False  # it waits for hours or days to open
    event: dict[str, Any] = {}  # as in `Sent`
    vars: dict[str, Any] = {}
    follows: int = 0


class Instance(msgspec.Struct, array_like=True, gc=False):
    """One stay of this customer in one journey, or one branch of a stay.

    A branch has a `parent`, which stands at its `parallel` step while branches run. Variables are
    the topmost instance's.
    """

    id: int
    journey: str
    version: str
    entered_at: int
    position: int
    timer: int = 0  # the timer it waits on, or 0
    waiting_until: int | None = None
    proposal: int = 0  # the deferred proposal it waits on, or 0
    event: dict[str, Any] = {}
    event_name: str = ""
    depth: int = 0
    key: str = ""  # what tells this stay from others in the same journey
    since_at: int = 0  # when what it began with happened, by its own clock
    parent: int = 0
    vars: dict[str, Any] = {}  # set by its steps, read as `journey.NAME`
    call: str = ""  # the id of the call whose answer it waits for, or ""


class Timer(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A wake the profile asked for."""

    at: int
    kind: str  # instance, proposal, fallback, segments or agenda
    target: int


class Profile(msgspec.Struct, array_like=True, gc=False):
    """Everything known and pending about one customer."""

    customer: str
    traits: dict[str, Any] = {}
    consents: dict[str, ConsentStatement] = {}  # by "purpose/channel", the latest each
    seen: list[SeenPart] = []  # ids of inputs, in order of arrival
    history: dict[str, History] = {}
    engagement: dict[str, list[int]] = {}  # "channel/status" -> when, ascending
    ledger: list[Slot] = []  # ascending by `at`
    sends: dict[str, Sent] = {}  # by message id, in order of sending
    pending: dict[int, Pending] = {}  # by proposal
    instances: dict[int, Instance] = {}
    timers: dict[int, Timer] = {}
    entered: dict[str, int] = {}  # journey -> last entry
    exited: dict[str, int] = {}  # journey -> last exit
    suppressed: dict[str, int] = {}  # rule -> until
    context_timezone: str = ""
    session_at: int = 0  # when the current session began
    active_at: int = 0  # the customer's last own event
    first_at: int = 0
    timer_count: int = 0
    instance_count: int = 0
    proposal_count: int = 0
    decision_count: int = 0
    journeys_done: dict[str, int] = {}  # "journey/reason" -> how often
    tallies: list[Tally] = []  # the ledger once more, by what caps tell apart
    identities: dict[str, dict[str, int]] = {}  # namespace -> value -> since when it is theirs
    absorbed: dict[str, int] = {}  # customers who turned out to be this one -> their last entry
    merged_into: str = ""  # who this customer turned out to be; then nothing else is here
    apart: list[str] = []  # customers this one is not, whatever identities say
    refused: list[str] = []  # merges that were not made, as `namespace/customer`
    traits_at: int = 0  # the last writing that named all traits; see `latest`
    written: dict[str, int] = {}  # trait -> its last writing, where that was another
    context_at: int = 0  # when `context_timezone` was said
    measures: dict[str, Measure] = {}  # what live traits rest on, by key
    session_count: int = 0
    session_pages: int = 0  # viewed in the current session
    session_products: int = 0
    listings: dict[str, Listing] = {}  # "registry/identity" -> what it says of the address
    context_locale: str = ""
    first_source: Origin | None = None  # of the first session that told where it came from
    last_source: Origin | None = None
    segments: dict[str, int] = {}  # those the customer is in -> since
    segments_version: int = 0  # of the segments that were looked at for this customer
    segments_timer: int = 0  # the latest timer for a change by time alone; its numbers go down
    segments_at: int = NEVER_AT  # when that is due, if it still is
    numbered_from: int = 0  # one of the same name was erased: what counts begins here
    is_nameless: bool = False  # its own name is another customer's identity by now
    entries: dict[str, list[int]] = {}  # journey -> when, ascending, where entries are counted
    keyed: dict[str, dict[str, int]] = {}  # journey -> key -> last entry, the latest last
    agenda_timer: int = 0  # the timer for what begins by the calendar, or 0
    agenda_at: int = NEVER_AT  # when that is, or was, to be looked at
    agenda_zone: str = ""  # by whose clock; "" before the first look
    agenda_from: int = 0  # where that clock is behind another: up to when it was looked at
    call_count: int = 0  # calls that journeys made
    reach: dict[str, Reach] = {}  # "channel/hash of an address" -> what its provider said of it
