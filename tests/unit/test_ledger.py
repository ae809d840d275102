"""The ledger and its tallies: the same sends twice, whatever is entered and struck out."""

from collections import defaultdict

import msgspec
from hypothesis import given, settings, strategies as st

from engine.instants import HOUR_MS, parse_instant
from engine.ledger import (
    LEDGER_KEEP_MS,
    Slot,
    Tally,
    enter_slot,
    strike_slot,
    with_slot,
)
from engine.limits import LEDGER_MAX

NOON = parse_instant("2026-03-02T12:00:00Z")
Key = tuple[str, str, str, bool]
# How long after the send before; where a send is late, before it.
Act = tuple[str, int, str, bool]

acts = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "enter", "late", "strike", "strike"]),
        st.sampled_from([0, 0, 1, HOUR_MS, LEDGER_KEEP_MS // 3, LEDGER_KEEP_MS]),
        st.sampled_from(["email", "sms"]),
        st.booleans(),
    ),
    max_size=40,
)


def slot(at: int, name: str, channel: str = "email", *, counts: bool = True) -> Slot:
    return Slot(at, name, "a", channel, "marketing", "promo", counts)


def mirrored(slots: list[Slot]) -> dict[Key, list[int]]:
    """Tell the tallies a ledger should have, by counting it over."""
    found: dict[Key, list[int]] = defaultdict(list)
    for one in slots:
        found[one.channel, one.purpose, one.message_type, one.counts].append(one.at)
    return dict(found)


def told(tallies: list[Tally]) -> dict[Key, list[int]]:
    keys = [(one.channel, one.purpose, one.message_type, one.counts) for one in tallies]
    assert len(set(keys)) == len(keys)
    return {key: one.sent_at for key, one in zip(keys, tallies, strict=True)}


@settings(max_examples=300, deadline=None)
@given(acts)
def test_tallies_mirror_the_ledger_whatever_happens(taken: list[Act]) -> None:
    slots: list[Slot] = []
    tallies: list[Tally] = []
    now = NOON
    for number, (act, gap_ms, channel, counts) in enumerate(taken):
        if act == "strike":
            strike_slot(slots, tallies, f"m{gap_ms % (number + 1)}")
        else:
            now += 0 if act == "late" else gap_ms
            at = now - gap_ms if act == "late" else now
            enter_slot(slots, tallies, slot(at, f"m{number}", channel, counts=counts), now)
            assert all(one.at > now - LEDGER_KEEP_MS for one in slots)
        assert slots == sorted(slots, key=lambda one: one.at)
        assert told(tallies) == mirrored(slots)
        assert all(one.sent_at for one in tallies)


def test_a_ledger_has_a_bound_and_the_oldest_goes_first() -> None:
    slots: list[Slot] = []
    tallies: list[Tally] = []
    for number in range(LEDGER_MAX + 5):
        channel = "sms" if number < 3 else "email"
        enter_slot(slots, tallies, slot(NOON + number, f"m{number}", channel), NOON + number)
    assert len(slots) == LEDGER_MAX
    assert slots[0].message_id == "m5"
    assert [one.channel for one in tallies] == ["email"]
    assert told(tallies) == mirrored(slots)


def test_a_slot_is_given_back_once() -> None:
    slots: list[Slot] = []
    tallies: list[Tally] = []
    for name in ("m1", "m2"):
        enter_slot(slots, tallies, slot(NOON, name), NOON)
    strike_slot(slots, tallies, "m1")
    strike_slot(slots, tallies, "m1")
    strike_slot(slots, tallies, "never sent")
    assert [one.message_id for one in slots] == ["m2"]
    assert told(tallies) == mirrored(slots)
    strike_slot(slots, tallies, "m2")
    assert (slots, tallies) == ([], [])


def test_what_would_be_after_one_more_send_changes_nothing_that_is() -> None:
    slots: list[Slot] = []
    tallies: list[Tally] = []
    enter_slot(slots, tallies, slot(NOON, "m1"), NOON)
    before = msgspec.msgpack.encode(tallies)
    same = with_slot(tallies, slot(NOON - 5, "m2"))
    other = with_slot(tallies, slot(NOON + 5, "m3", "sms"))
    assert msgspec.msgpack.encode(tallies) == before
    assert told(same) == mirrored([slot(NOON - 5, "m2"), slot(NOON, "m1")])
    assert told(other) == mirrored([slot(NOON, "m1"), slot(NOON + 5, "m3", "sms")])
