"""Who was erased, as keyed hashes, and the gate that what arrives late about them does not pass.

Owned by `actors.runtime`; `actors.erasures` adds to it, `actors.intake` asks it for inputs that
happened before the latest erasure, which are few: all others cost one comparison.

*Rules*
- What happened up to the erasure and names somebody erased is refused, and kept in no form.
- What names somebody else and only carries an erased anonymous id is taken without that id.
- What happened later begins a new customer, of whose name there was none before.
- While somebody is being erased, and that is not durable, what names them waits.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from enum import Enum
from hashlib import blake2b

import msgspec

from actors.rows import Graves, QuarantineRow
from engine.errors import InputError
from engine.events import Abridged, Answered, Event, EventKind, Input, Key, Rebirth, Receipt, Tick
from engine.identities import ANONYMOUS, ANONYMOUS_PREFIX, USER, IdentityRules, keys_of
from engine.intake.clocks import read_instant
from engine.profile import Profile

EVENT = "event_id"  # of an event by a clock that was ahead of ours: sent again it is refused by it
HASH_BYTES = 16
_SHORT_BYTES = 8  # of a hash kept in memory: a million of them match a stranger once in 10^13 times


def identity_of(customer: str) -> Key:
    """Name the identity that leads to a customer by itself."""
    if customer.startswith(ANONYMOUS_PREFIX):
        return (ANONYMOUS, customer.removeprefix(ANONYMOUS_PREFIX))
    return (USER, customer)


class Tombstones:
    """Hashes of identities with the instant up to which each is refused; 16 bytes apiece."""

    def __init__(self) -> None:
        self.latest_at = -1  # nothing that happened later is refused
        self._salt = b""
        self._keys = array("Q")  # ascending
        self._until = array("q")

    def __len__(self) -> int:
        """Count them."""
        return len(self._keys)

    def open(self, graves: Graves) -> None:
        """Take in what the store has."""
        self._salt = graves.salt
        pairs = sorted((_shorten(hashed), at) for hashed, at in graves.tombstones)
        self._keys = array("Q", (key for key, _ in pairs))
        self._until = array("q", (at for _, at in pairs))
        self.latest_at = max(self._until, default=-1)

    def hash(self, identity: Key) -> bytes:
        """Hash an identity so that only this store can tell whose it is.

        Keyed BLAKE2b is a MAC as HMAC is, in half the time.
        """
        namespace, value = identity
        named = f"{namespace}\x1f{value}".encode(errors="surrogatepass")
        return blake2b(named, key=self._salt, digest_size=HASH_BYTES).digest()

    def add(self, hashed: bytes, erased_at: int) -> None:
        """Refuse an identity from now on."""
        key = _shorten(hashed)
        place = bisect_left(self._keys, key)
        if place < len(self._keys) and self._keys[place] == key:
            self._until[place] = max(erased_at, self._until[place])
        else:
            self._keys.insert(place, key)
            self._until.insert(place, erased_at)
        self.latest_at = max(self.latest_at, erased_at)

    def erased_at(self, identity: Key) -> int:
        """Tell when an identity was erased last, or 0."""
        key = _shorten(self.hash(identity))
        place = bisect_left(self._keys, key)
        is_there = place < len(self._keys) and self._keys[place] == key
        return self._until[place] if is_there else 0

    def refuses(self, identity: Key, at: int) -> bool:
        """Say whether what happened at an instant came before an identity was erased."""
        return at <= self.erased_at(identity)


def _shorten(hashed: bytes) -> int:
    return int.from_bytes(hashed[:_SHORT_BYTES], "big")


class Verdict(Enum):
    """What becomes of an input at its customer."""

    AS_USUAL = "as usual"
    ANEW = "anew"  # the customer begins, and there was one of the name before
    GONE = "gone"  # it is about somebody who is gone


class Gate:
    """What every input passes on its way in."""

    def __init__(self) -> None:
        self.tombstones = Tombstones()
        self.closed: dict[str, None] = {}  # customers that are just being erased

    def is_closed(self, given: Input) -> bool:
        """Say whether an input must wait for an erasure to become durable."""
        assert isinstance(given, (Event, Receipt, Answered))
        if given.user in self.closed:
            return True
        return isinstance(given, Event) and any(
            ANONYMOUS_PREFIX + anonymous in self.closed for anonymous in anonymous_ids(given)
        )

    def admit(self, given: Input, rules: IdentityRules) -> Input | None:
        """Give an input as it may be taken, or None where it must not be."""
        assert isinstance(given, (Event, Receipt, Answered))
        refuses, at = self.tombstones.refuses, given.at
        is_of_erased = given.user and refuses(identity_of(given.user), at)
        if is_of_erased or not isinstance(given, Event):
            return None if is_of_erased else given
        if refuses((EVENT, given.id), at):
            return None
        if any(refuses((ANONYMOUS, anonymous), at) for anonymous in anonymous_ids(given)):
            if given.user is None or given.kind is EventKind.ALIAS:
                return None
            return msgspec.structs.replace(given, anonymous=None)
        if given.user is None and self._names_erased(given, rules):
            return None
        return given

    def _names_erased(self, given: Event, rules: IdentityRules) -> bool:
        """Say whether a visitor says of themselves that they are somebody erased."""
        stated = [(name, value) for name, value in given.traits.items() if isinstance(value, str)]
        keys = (*keys_of(given, rules), *stated)
        return any(self.tombstones.refuses(key, given.at) for key in keys)

    def keep(self, rows: Iterable[QuarantineRow]) -> list[QuarantineRow]:
        """Leave out of what goes into quarantine what happened before its sender was erased."""
        return [row for row in rows if not self._is_of_erased(row)]

    def _is_of_erased(self, row: QuarantineRow) -> bool:
        identities, at = _look_into(row)
        return any(self.tombstones.refuses(identity, at) for identity in identities)

    def judge(self, customer: str, given: Input, profile: Profile, last_seq: int) -> Verdict:
        """Say whether an input begins a customer anew, of whose name one was erased.

        A receipt for a message that is not known is about one of those who are gone, and so is the
        answer to a call that nobody waits for.
        """
        if isinstance(given, (Tick, Rebirth, Abridged)):
            return Verdict.AS_USUAL
        if not self.tombstones.erased_at(identity_of(customer)):
            return Verdict.AS_USUAL
        if isinstance(given, Receipt):
            return Verdict.AS_USUAL if given.message in profile.sends else Verdict.GONE
        if isinstance(given, Answered):
            waits = any(one.call == given.call_id for one in profile.instances.values())
            return Verdict.AS_USUAL if waits else Verdict.GONE
        return Verdict.AS_USUAL if last_seq else Verdict.ANEW


def anonymous_ids(event: Event) -> list[str]:
    """List the anonymous ids an event carries."""
    found = [event.anonymous] if event.anonymous else []
    if event.kind is EventKind.ALIAS:
        previous = event.properties.get("previousId")
        if isinstance(previous, str):
            found.append(previous)
    return found


class _Item(msgspec.Struct, rename="camel"):
    """What can be found out about an item that was not understood."""

    user_id: object = None
    anonymous_id: object = None
    previous_id: object = None
    original_timestamp: object = None
    timestamp: object = None


_decode_item = msgspec.json.Decoder(_Item).decode


def _look_into(row: QuarantineRow) -> tuple[list[Key], int]:
    """Find whom an item is about and when it happened; unknown is when it was received."""
    try:
        item = _decode_item(row.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [], row.received_at
    named = ((USER, item.user_id), (ANONYMOUS, item.anonymous_id), (ANONYMOUS, item.previous_id))
    found = [(namespace, str(value)) for namespace, value in named if value is not None]
    said = item.original_timestamp or item.timestamp
    try:
        at = read_instant(said, "timestamp") if said else row.received_at
    except InputError:
        at = row.received_at
    return found, min(at, row.received_at)
