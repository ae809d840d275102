"""One customer's actor: a profile in memory and a mailbox, not a task.

Made and dropped by `actors.directory`, drained by `actors.runtime`. A customer is processed
strictly in order, one input at a time; an actor that dies answers everything left in its mailbox.
"""

import asyncio
from collections import deque

import msgspec

from actors.tickets import Hold, Ticket
from engine.events import Input, Key
from engine.profile import Profile

MAILBOX_MAX = 5_000  # inputs waiting for one customer; twice the largest batch a client may send

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Profile)

# What a profile takes in memory, from what its snapshot takes: measured on the demo's customers as
# resident memory. The ids it has seen are the same bytes here and there.
MEMORY_BYTES_BASE = 3_600
MEMORY_FACTOR = 7


def _measure(profile: Profile, body: bytes) -> int:
    seen_bytes = sum(len(part.keys) for part in profile.seen)
    return MEMORY_BYTES_BASE + MEMORY_FACTOR * (len(body) - seen_bytes) + seen_bytes


class Customer:
    """A virtual actor: it exists whether or not it is in memory."""

    __slots__ = (
        "durable_seq",
        "id",
        "is_stopped",
        "last_seq",
        "mailbox",
        "memory_bytes",
        "profile",
        "saved_seq",
        "scheduled",
    )

    def __init__(self, customer: str) -> None:
        self.id = customer
        self.profile: Profile | None = None  # None until it is hydrated
        self.mailbox: deque[tuple[Input | Move | Halt, Ticket | None]] = deque()
        self.scheduled = False
        self.is_stopped = False  # by a move: nothing is decided until it is over
        self.last_seq = 0  # its latest journal entry
        self.durable_seq = 0  # its latest entry that is on disk
        self.saved_seq = 0  # the entry its snapshot covers
        self.memory_bytes = MEMORY_BYTES_BASE

    def hydrate(self, body: bytes | None, seq: int) -> Profile:
        """Take the profile from a snapshot, or start a new one."""
        if body is None:
            self.profile = Profile(self.id)
        else:
            self.profile = _DECODER.decode(body)
            self.memory_bytes = _measure(self.profile, body)
        self.last_seq = self.durable_seq = self.saved_seq = seq
        return self.profile

    def become(self, built: "Customer") -> None:
        """Take over what another actor of this customer was built to; the mailbox stays."""
        self.profile = built.profile
        self.last_seq, self.durable_seq = built.last_seq, built.durable_seq
        self.saved_seq = built.saved_seq
        self.memory_bytes = built.memory_bytes

    def snapshot(self) -> bytes:
        """Write the profile down as it is now."""
        assert self.profile is not None
        body = _ENCODER.encode(self.profile)
        self.memory_bytes = _measure(self.profile, body)
        return body

    def snapshot_copy(self) -> bytes:
        """Write the profile down for a reader; nothing is noted."""
        return _ENCODER.encode(self.profile)

    def die(self, error: Exception) -> int:
        """Answer everything left in the mailbox; gives how many inputs there were."""
        left = len(self.mailbox)
        for _, ticket in self.mailbox:
            if ticket is not None:
                ticket.fail(error)
        self.mailbox.clear()
        return left


class Move:
    """Identities on their way to a customer, standing in mailboxes among the inputs.

    Made by `actors.intake`, led by `actors.merges`. `other` is the customer it takes from, "" where
    there is none; where it `merges`, the two are one person.
    """

    __slots__ = (
        "after",
        "because",
        "hold",
        "is_over",
        "is_passed",
        "keys",
        "merges",
        "other",
        "said",
        "source",
        "winner",
    )

    def __init__(
        self, winner: str, other: str, keys: tuple[Key, ...], *, merges: bool, because: str = ""
    ) -> None:
        self.winner = winner
        self.other = other
        self.keys = keys
        self.merges = merges
        self.because = because
        self.hold: Hold | None = None  # who waits for it
        self.said: asyncio.Future[None] | None = None  # somebody asked for it outright
        self.after: list[Hold] = []  # who waits for it to end, to make another move
        self.source: Customer | None = None  # the other one, stopped
        self.is_passed = False  # it was at the other one
        self.is_over = False  # it ended: wherever it stands, it is passed over

    def waiting(self) -> list[Hold]:
        """List who waits for it, in order."""
        first = [] if self.hold is None else [self.hold]
        return first + self.after


class Halt:
    """Stops a customer when it comes up in the mailbox, for whoever must have it to themselves."""

    __slots__ = ("there",)

    def __init__(self) -> None:
        self.there: asyncio.Future[Customer] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        """Tell whoever waits that the customer's mailbox was lost."""
        if not self.there.done():
            self.there.set_exception(error)

    def arrive(self, actor: Customer) -> None:
        """Stop the customer, unless nobody waits any more."""
        if not self.there.done():
            actor.is_stopped = True
            self.there.set_result(actor)

    def end(self) -> Customer | None:
        """Stop nobody from here on; gives who was stopped, if it came to that."""
        if self.there.cancel() or self.there.exception() is not None:
            return None
        return self.there.result()
