"""What the world tells us: the closed union of inputs to a step.

Built by `engine.intake.normalise`, carried by `actors`, read by `engine.step`. Stored in the
journal as msgpack arrays: fields are added at the end, never moved.
"""

from enum import StrEnum
from typing import Any

import msgspec


class EventKind(StrEnum):
    """The six calls of the Segment specification, and consent on its own."""

    IDENTIFY = "identify"
    TRACK = "track"
    PAGE = "page"
    SCREEN = "screen"
    GROUP = "group"
    ALIAS = "alias"
    CONSENT = "consent"


# What a trigger or a history function calls the events that carry no name of their own.
KIND_NAMES = {
    EventKind.IDENTIFY: "Identified",
    EventKind.PAGE: "Page Viewed",
    EventKind.SCREEN: "Screen Viewed",
    EventKind.GROUP: "Group Joined",
    EventKind.ALIAS: "Alias Linked",
    EventKind.CONSENT: "Consent Stated",
}


class ConsentStatus(StrEnum):
    """What a customer said about being contacted."""

    GRANTED = "granted"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    PENDING = "pending"  # granted, and not yet confirmed by whoever has the address


class LegalBasis(StrEnum):
    """On what law a statement rests; it changes no decision, it is kept for whoever must prove it.

    The first six are those of article 6 (1) GDPR. `soft_opt_in` is what article 13 (2) of the
    ePrivacy directive, PECR reg. 22 (3) and section 69 (3) POPIA allow for own customers. `implied`
    is CASL's implied consent, which always ends.
    """

    UNSTATED = ""
    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTEREST = "legitimate_interest"
    SOFT_OPT_IN = "soft_opt_in"
    IMPLIED = "implied"


SUCCESS_MIN, SUCCESS_END = 200, 300  # the statuses of HTTP that say that it went well
ANY = "*"  # every purpose, or every channel


class ConsentStatement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One statement of consent: for a purpose, on a channel, at an instant, from a source.

    With a `message_type` it is about that type alone, whatever its purpose. From `expires_at` on
    (None: never) it is no consent any more; of one that is pending, it is until when it may be
    confirmed. `proof` is what shows that it was said: a URL, an IP address, the hash of a form.
    """

    purpose: str
    channel: str
    status: ConsentStatus
    at: int
    source: str = ""
    basis: LegalBasis = LegalBasis.UNSTATED
    proof: str = ""
    expires_at: int | None = None
    message_type: str = ""


class ChangeKind(StrEnum):
    """How a trait changes from the value it has."""

    INCREASE = "inc"  # by a number, which may be negative; a trait that is not there counts as 0
    ADD = "add"  # values to the end of a list; those that are in it already move there
    REMOVE = "remove"  # values from a list


class TraitChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A change of a trait that rests on the value it has when the event is taken in."""

    trait: str
    kind: ChangeKind
    value: int | float | list[Any]  # a number to increase by, else values


class Event(msgspec.Struct, frozen=True, array_like=True, tag="event", gc=False):
    """One thing a customer did, or one thing we were told about a customer.

    `at` is when it happened by the corrected clock of the sender, `received_at` when it reached
    us. `name` is the track event's name, or the name `KIND_NAMES` gives the other calls.
    `is_history` marks what was loaded from the past: it is known and counted, but nothing begins
    with it. `only_existing` is meant for customers we know already, and nothing for others.
    """

    id: str
    kind: EventKind
    name: str
    user: str | None
    anonymous: str | None
    at: int
    received_at: int
    properties: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    context: dict[str, Any] = {}
    consents: tuple[ConsentStatement, ...] = ()
    source: str = ""
    is_history: bool = False
    changes: tuple[TraitChange, ...] = ()
    only_existing: bool = False


class ReceiptStatus(StrEnum):
    """What became of a message after it left."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    FAILED = "failed"
    OPENED = "opened"
    CLICKED = "clicked"
    REPLIED = "replied"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"
    IN_DOUBT = "in_doubt"  # from our own outbox: the provider may or may not have taken it
    MACHINE_OPENED = "machine_opened"  # by a mail privacy proxy or a scanner: nobody has read it


class Failure(StrEnum):
    """What a failure asks for; each code of a provider stands for exactly one of these.

    The first six are definitive: the message did not go out, and never will on this channel. The
    last three speak of the moment or of the account, and the message may still go.
    """

    ADDRESS_DEAD = "address_dead"  # nobody is there: the address is given up
    NOT_THERE = "not_there"  # the address is good, but not on this channel: not on WhatsApp, no RCS
    UNREACHABLE = "unreachable"  # not now: a handset that is off, a mailbox that is full, no answer
    CONSENT = "consent"  # the person has stopped us at the provider
    WINDOW = "window"  # the time to answer freely is over: only a template goes
    CONTENT = "content"  # refused as it is written: its author has to mend it
    RATE = "rate"  # too much at once
    TRANSIENT = "transient"  # the provider is in trouble
    CONFIG = "config"  # the account is: a key, a payment, a sender; nothing goes until it is mended


class Receipt(msgspec.Struct, frozen=True, array_like=True, tag="receipt", gc=False):
    """What came back about a message.

    `message` is a message id (`m_…`) or, in event files, a message's name, which means the
    customer's latest send of it.
    """

    id: str
    user: str
    message: str
    status: ReceiptStatus
    at: int
    received_at: int
    code: str = ""
    permanent: bool = False
    source: str = ""
    is_history: bool = False  # of a message that was not sent from here
    failure: str = ""  # of a failure: one of `Failure`, where the channel could tell


class Answered(msgspec.Struct, frozen=True, array_like=True, tag="answered", gc=False):
    """What came of a call that a journey made: the answer, or why there is none.

    `status` is HTTP's, 0 where nothing was answered. `body` is the answer as JSON, where the
    journey wants it. `code` says what went wrong where that is more than the status.
    """

    call_id: str
    user: str
    status: int
    at: int
    body: Any = None
    code: str = ""

    @property
    def id(self) -> str:
        """Name what is taken once: there is one answer to one call."""
        return f"answer:{self.call_id}"

    @property
    def is_good(self) -> bool:
        """Say whether the call went well."""
        return SUCCESS_MIN <= self.status < SUCCESS_END and not self.code


class Tick(msgspec.Struct, frozen=True, array_like=True, tag="tick", gc=False):
    """A timer the profile set has come due."""

    timer: int
    at: int  # when it was due; `now` is when it is handled


class SeenIds(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Ids that came in one stretch of time, as a profile keeps them."""

    first_at: int
    last_at: int
    keys: bytes


Key = tuple[str, str]  # an identity: (namespace, value)


class Linked(msgspec.Struct, frozen=True, array_like=True, tag="linked", gc=False):
    """Identities belong to this customer from here on.

    `seen` are the ids of events that another customer took under one of them: events that are sent
    again arrive here now.
    """

    keys: tuple[Key, ...]
    seen: tuple[SeenIds, ...]  # oldest first
    at: int


class Review(msgspec.Struct, frozen=True, array_like=True, tag="review", gc=False):
    """The segments of the workspace changed: who is in them is to be looked at anew."""

    version: int
    at: int


class Unlinked(msgspec.Struct, frozen=True, array_like=True, tag="unlinked", gc=False):
    """Identities of this customer belong to another one from here on."""

    keys: tuple[Key, ...]
    to: str
    at: int


class Merged(msgspec.Struct, frozen=True, array_like=True, tag="merged", gc=False):
    """Another customer turned out to be this one: everything of it came here.

    `profile` is the other one as it was after its entry `seq`, as a snapshot holds it. `keys` are
    the identities by which it was found out, `because` says how.
    """

    customer: str
    seq: int
    profile: bytes
    keys: tuple[Key, ...]
    because: str
    at: int


class Departed(msgspec.Struct, frozen=True, array_like=True, tag="departed", gc=False):
    """The customer turned out to be another one: everything of it went there."""

    into: str
    because: str
    at: int


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused", gc=False):
    """A merge with another customer was not made, though an identity spoke for it."""

    key: Key
    customer: str
    because: str
    at: int


class Restored(msgspec.Struct, frozen=True, array_like=True, tag="restored", gc=False):
    """Two customers are two again: this one as their events make it, as a snapshot holds it."""

    profile: bytes
    apart: str  # from whom
    at: int


class Listing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an opt-out registry says of one address; `as_of` is when its list was made."""

    registry: str
    identity: str  # the trait that holds the address
    address: str
    listed: bool
    as_of: int


class Scrubbed(msgspec.Struct, frozen=True, array_like=True, tag="scrubbed", gc=False):
    """A customer's addresses were looked up in opt-out registries."""

    listings: tuple[Listing, ...]
    at: int


class Rebirth(msgspec.Struct, frozen=True, array_like=True, tag="rebirth", gc=False):
    """The first entry of a customer of whose name there was one before, who was erased.

    Nothing of that one is known. Decisions and messages are numbered from `number` on, so that
    none gets the id of one that left before.
    """

    number: int
    at: int


class Abridged(msgspec.Struct, frozen=True, array_like=True, tag="abridged", gc=False):
    """Entries before this one are gone, because they told of somebody else who was erased.

    `profile` is the customer as they are, as a snapshot holds it, without that one's name: who
    folds the journal begins here.
    """

    profile: bytes
    at: int


class Redeliver(msgspec.Struct, frozen=True, array_like=True, tag="redeliver", gc=False):
    """Somebody who runs the workspace wants a message that failed sent again."""

    message_id: str
    at: int

    @property
    def id(self) -> str:
        """Name what is taken once: one message, asked for at one instant."""
        return f"redeliver:{self.message_id}:{self.at}"


Belonging = Linked | Unlinked | Merged | Departed | Refused | Restored
Input = (
    Event
    | Receipt
    | Tick
    | Belonging
    | Scrubbed
    | Review
    | Rebirth
    | Abridged
    | Answered
    | Redeliver
)
