"""What the world outside saw: who was answered, what providers were asked, what must not be.

Written by everything that plays the outside, read by `checks`. The first thing that must not be is
kept, in words, with the time: raising it where it is seen would only kill a task of the runtime,
which lives with exceptions.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from actors.simulate.loop import SimLoop
from engine.effects import Send
from engine.events import ConsentStatement, ConsentStatus, Event, Receipt
from engine.records import Decided


class Wishes:
    """What a customer last said of marketing on each channel: the latest, then the stricter."""

    def __init__(self, said: Iterable[ConsentStatement] = ()) -> None:
        self._said: dict[str, tuple[int, bool]] = {}  # purpose/channel -> (at, is a "no")
        for statement in said:
            self.take(statement)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wishes) and self._said == other._said

    __hash__ = None  # type: ignore[assignment]

    def unite(self, other: "Wishes") -> None:
        """Take in what somebody said who is the same person."""
        for key, rank in other.said().items():
            self._said[key] = max(rank, self._said.get(key, rank))

    def take(self, said: ConsentStatement) -> None:
        """Take a statement in."""
        key = f"{said.purpose}/{said.channel}"
        rank = (said.at, said.status is not ConsentStatus.GRANTED)
        self._said[key] = max(rank, self._said.get(key, rank))

    def said(self) -> dict[str, tuple[int, bool]]:
        """Tell what was said last: purpose/channel -> (at, is a "no")."""
        return self._said

    def is_no(self, purpose: str, channel: str) -> bool:
        """Say whether a purpose is unwanted on a channel, where silence is consent."""
        keys = (f"{p}/{c}" for p in (purpose, "*") for c in (channel, "*"))
        said = [self._said[key] for key in keys if key in self._said]
        return bool(said) and max(said)[1]


class Witness:
    """Everything seen from outside in one simulation."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._trace = blake2b(digest_size=8)
        self.blame: list[str] = []
        self.acknowledged: dict[str, int] = {}  # input id -> how often it was answered
        self.attempts: dict[str, Send] = {}  # message id -> what the provider was first asked
        self.taken: dict[str, int] = {}  # message id -> how often a provider took it
        self.refused: dict[str, int] = {}  # message id -> taken, then reported as failed
        self.inputs: dict[str, Event | Receipt] = {}  # by id, what was answered
        self.ended: dict[str, str] = {}  # message id -> customer whose erasure was answered
        self.closed: dict[tuple[str, str], int] = {}  # (customer, channel) -> answered "no"

    def note(self, what: str, *details: object) -> None:
        """Add to the trace: what happened, and when."""
        line = f"{self._loop.time():.6f} {what} {' '.join(map(str, details))}\n"
        self._trace.update(line.encode())

    def accuse(self, invariant: str, *details: object) -> None:
        """Keep what must not be."""
        told = " ".join(map(str, details))
        self.blame.append(f"{invariant}: {told} (at {self._loop.time():.3f} s)")

    def trace(self) -> str:
        """Give the hash of everything that happened."""
        return self._trace.hexdigest()

    def note_attempt(self, send: Send, decided: Mapping[str, tuple[str, Decided]]) -> None:
        """See a provider being asked to carry a message."""
        self.note("attempt", send.message_id)
        known = decided.get(send.message_id)
        if known is None:
            self.accuse("no send without a journaled decision", send.message_id)
        elif not _agrees(send, *known):
            self.accuse("a send is what was decided", send.message_id)
        first = self.attempts.setdefault(send.message_id, send)
        if first != send:
            self.accuse("one payload per message id", send.message_id)


def _agrees(send: Send, customer: str, decided: Decided) -> bool:
    return (
        send.customer == customer
        and send.channel == decided.channel
        and send.address == decided.address
        and send.content == decided.content
        and send.decided_at == decided.at
    )
