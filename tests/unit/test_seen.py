"""Ids that were seen, and those a customer takes over from an anonymous one."""

from engine.events import Linked, SeenIds
from engine.evolve import evolve_input
from engine.limits import SEEN_KEEP_MS, SEEN_MAX, SEEN_PART_MAX, SEEN_PART_MS
from engine.profile import Profile
from engine.seen import (
    KEY_BYTES,
    SeenPart,
    count_seen,
    hand_out,
    note_seen,
    pick_unknown,
    take_over,
)
from tests.shards import ORIGIN_AT as AT


def key(number: int) -> bytes:
    return number.to_bytes(KEY_BYTES, "big")


def test_ids_taken_over_are_known_and_stay_apart_from_where_they_came() -> None:
    visitor, profile = Profile("anon:a1"), Profile("u1")
    note_seen(visitor.seen, key(1), AT)
    note_seen(profile.seen, key(2), AT + 5)
    given = Linked((("anonymous_id", "a1"),), hand_out(visitor.seen, AT + 9), AT + 9)
    assert evolve_input(profile, given, AT + 9)
    assert not note_seen(profile.seen, key(1), AT + 10)
    assert not note_seen(profile.seen, key(2), AT + 10)
    assert note_seen(profile.seen, key(3), AT + 10)
    assert note_seen(visitor.seen, key(3), AT + 10)
    assert [(part.first_at, part.last_at) for part in profile.seen] == [(AT, AT + 10)]
    assert profile.history == {}


def test_parts_lie_in_order_of_time() -> None:
    hour_ms = SEEN_PART_MS // 6
    own = [SeenPart(AT + at * hour_ms, AT + at * hour_ms, bytearray(key(at))) for at in (0, 20)]
    handed = [SeenIds(AT + at * hour_ms, AT + at * hour_ms, key(at)) for at in (10, 30)]
    take_over(own, handed, AT + 30 * hour_ms)
    assert [part.keys for part in own] == [key(0), key(10), key(20), key(30)]


def test_many_small_parts_become_few() -> None:
    parts: list[SeenPart] = []
    for number in range(500):
        at = AT + number
        take_over(parts, [SeenIds(at, at, key(number))], at)
    assert count_seen(parts) == 500
    assert len(parts) == 1


def test_what_is_taken_over_is_bounded_and_the_oldest_goes_first() -> None:
    parts: list[SeenPart] = []
    for number in range(SEEN_MAX):
        note_seen(parts, key(number), AT)
    full = b"".join(key(SEEN_MAX + number) for number in range(SEEN_PART_MAX))
    take_over(parts, [SeenIds(AT + place, AT + place, full) for place in range(3)], AT + 3)
    assert SEEN_MAX - 2 * SEEN_PART_MAX < count_seen(parts) <= SEEN_MAX - SEEN_PART_MAX
    assert not note_seen(parts, key(SEEN_MAX), AT + 3)
    assert note_seen(parts, key(0), AT + 3)


def test_what_is_old_is_neither_handed_out_nor_kept() -> None:
    old, young = SeenPart(AT, AT, bytearray(key(1))), SeenPart(AT, AT + 1, bytearray(key(2)))
    now = AT + SEEN_KEEP_MS
    assert [ids.keys for ids in hand_out([old, young], now)] == [key(2)]
    parts = [old]
    take_over(parts, [SeenIds(AT, now, key(3))], now)
    assert [bytes(part.keys) for part in parts] == [key(3)]


def test_only_what_is_unknown_is_picked() -> None:
    handed = (SeenIds(AT, AT, key(1) + key(2)), SeenIds(AT, AT, key(3)))
    parts = [SeenPart(AT, AT, bytearray(key(2) + key(3)))]
    assert pick_unknown(parts, handed) == (SeenIds(AT, AT, key(1)),)
    # The end of one and the start of the next are no id.
    assert pick_unknown([SeenPart(AT, AT, bytearray(b"01234567" * 2))], (
        SeenIds(AT, AT, b"45670123"),
    ))  # fmt: skip
