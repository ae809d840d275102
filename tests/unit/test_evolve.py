"""What facts do to a profile, and the bounds of what one customer may hold."""

from typing import Any

import pytest

from engine.events import (
    ConsentStatement,
    ConsentStatus,
    Event,
    EventKind,
    Receipt,
    ReceiptStatus,
    Tick,
)
from engine.evolve import evolve, evolve_input, fold
from engine.instants import DAY_MS, HOUR_MS
from engine.limits import (
    ENGAGEMENT_RECENT_MAX,
    HISTORY_NAMES_MAX,
    LEDGER_MAX,
    SEEN_KEEP_MS,
    SEEN_MAX,
    SEEN_PART_MAX,
    SEEN_PART_MS,
    SENDS_MAX,
    SERIES_EXACT_MAX,
    TRAITS_MAX,
)
from engine.measures.series import MILLION, rows_of
from engine.profile import Profile
from engine.reasons import Outcome, Reason
from engine.records import (
    Assigned,
    ConsentNoted,
    Counted,
    Decided,
    Duplicated,
    Entered,
    Exited,
    Moved,
    ReceiptNoted,
    Suppressed,
    Truncated,
    Unmatched,
    WakeCleared,
    WakeSet,
)
from engine.seen import SeenPart, count_seen, note_seen

AT = 1_772_445_600_000


def event(
    number: int = 1,
    *,
    at: int = AT,
    kind: EventKind = EventKind.TRACK,
    name: str = "Seen",
    **parts: Any,
) -> Event:
    return Event(f"e{number}", kind, name, "u1", None, at, at, **parts)


def decided(
    number: int,
    outcome: Outcome = Outcome.SEND,
    **parts: Any,
) -> Decided:
    fields: dict[str, Any] = {
        "decision_id": f"d{number}", "at": AT, "cause_kind": "event", "cause": "e", "journey": "j",
        "instance": 1, "step": "s", "message": "a", "message_type": "promo", "outcome": outcome,
        "reason": Reason.SENT, "channel": "email", "next_eligible": None, "trace": (),
        "program": "p", "proposal": number, "proposed_at": AT, "expires_at": None, "pinned": "",
        "failed": (), "message_id": f"m{number}" if outcome is Outcome.SEND else "",
    }  # fmt: skip
    return Decided(**{**fields, **parts})


# Inputs.


def test_an_input_is_taken_once() -> None:
    profile = Profile("u1")
    assert evolve_input(profile, event(), AT)
    assert not evolve_input(profile, event(name="Other"), AT + 1)
    assert list(profile.history) == ["Seen"]


def test_an_id_is_not_found_between_two_others() -> None:
    parts: list[SeenPart] = []
    assert note_seen(parts, b"01234567", AT)
    assert note_seen(parts, b"89abcdef", AT)
    assert note_seen(parts, b"456789ab", AT)
    assert not note_seen(parts, b"89abcdef", AT)
    assert count_seen(parts) == 3


def test_a_tick_says_nothing_by_itself() -> None:
    profile = Profile("u1")
    assert evolve_input(profile, Tick(1, AT), AT)
    assert profile == Profile("u1")


def test_ids_are_forgotten_when_nobody_sends_them_again_any_more() -> None:
    profile = Profile("u1")
    evolve_input(profile, event(1), AT)
    evolve_input(profile, event(2), AT + SEEN_KEEP_MS - 1)
    assert count_seen(profile.seen) == 2
    assert not evolve_input(profile, event(1), AT + SEEN_KEEP_MS - 1)
    evolve_input(profile, event(3), AT + SEEN_KEEP_MS - 1 + SEEN_PART_MS)
    assert count_seen(profile.seen) == 2
    assert evolve_input(profile, event(1), AT + SEEN_KEEP_MS - 1 + SEEN_PART_MS)
    assert not evolve_input(profile, event(2), AT + SEEN_KEEP_MS - 1 + SEEN_PART_MS)


def test_late_and_early_events_keep_the_first_and_the_last_time() -> None:
    profile = Profile("u1")
    for number, at in enumerate((AT, AT - DAY_MS, AT + DAY_MS, AT)):
        evolve_input(profile, event(number, at=at), AT)
    history = profile.history["Seen"]
    assert (history.count, history.first_at, history.last_at) == (4, AT - DAY_MS, AT + DAY_MS)
    assert profile.active_at == AT + DAY_MS


def test_traits_are_merged_removed_by_null_and_not_taken_from_groups() -> None:
    profile = Profile("u1")
    evolve_input(profile, event(1, traits={"a": 1, "b": 2}), AT)
    evolve_input(profile, event(2, traits={"a": None, "c": 3, "never": None}), AT)
    evolve_input(profile, event(3, kind=EventKind.GROUP, traits={"d": 4}), AT)
    assert profile.traits == {"b": 2, "c": 3}


def test_what_a_device_reports_is_noted() -> None:
    profile = Profile("u1")
    context = {"timezone": "Asia/Kathmandu", "device": {"token": "t"}}
    evolve_input(profile, event(1, context=context), AT)
    assert profile.context_timezone == "Asia/Kathmandu"
    assert profile.traits == {"push_token": "t"}
    evolve_input(profile, event(2, context={"active": False}, at=AT + 5), AT + 5)
    assert profile.active_at == AT


@pytest.mark.parametrize("context", [{"timezone": ["x"]}, {"timezone": 7}, {"device": "x"}])
def test_a_context_of_another_shape_harms_no_profile(context: dict[str, Any]) -> None:
    profile = Profile("u1")
    evolve_input(profile, event(1, context=context), AT)
    assert profile.context_timezone == ""
    assert profile.traits == {}


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (("granted", 1), ("withdrawn", 2), "withdrawn"),
        (("withdrawn", 2), ("granted", 1), "withdrawn"),
        (("granted", 1), ("denied", 1), "denied"),
        (("denied", 1), ("granted", 1), "denied"),
        (("withdrawn", 1), ("granted", 2), "granted"),
    ],
)
def test_the_later_and_of_equals_the_stricter_statement_stays(
    first: tuple[str, int], second: tuple[str, int], kept: str
) -> None:
    profile = Profile("u1")
    for number, (status, at) in enumerate((first, second)):
        said = ConsentStatement("marketing", "*", ConsentStatus(status), at)
        evolve_input(profile, event(number, consents=(said,)), AT)
    assert profile.consents["marketing/*"].status == kept
    evolve(profile, ConsentNoted(ConsentStatement("marketing", "*", ConsentStatus.DENIED, 9)), AT)
    assert profile.consents["marketing/*"].status == "denied"


# Records.


def test_counted_events_stay_in_order_of_time_and_leave_the_window() -> None:
    profile = Profile("u1")
    for number, at in enumerate((AT, AT - HOUR_MS, AT + HOUR_MS, AT)):
        evolve_input(profile, event(number, at=at), AT)
        evolve(profile, Counted("Seen", at, DAY_MS, {"n": number}), AT + HOUR_MS)
    recent = profile.history["Seen"].recent
    assert recent is not None
    assert rows_of(recent) == [
        (AT - HOUR_MS, 1, (1 * MILLION,)),
        (AT, 2, (3 * MILLION,)),
        (AT + HOUR_MS, 1, (2 * MILLION,)),
    ]
    evolve_input(profile, event(9, at=AT + DAY_MS), AT + DAY_MS)
    evolve(profile, Counted("Seen", AT + DAY_MS, DAY_MS), AT + DAY_MS)
    assert rows_of(recent) == [(AT + HOUR_MS, 1, (2 * MILLION,)), (AT + DAY_MS, 1, (0,))]


def test_a_deferral_waits_and_its_end_ends_the_waiting() -> None:
    profile = Profile("u1")
    evolve(profile, Entered(1, "j", "v", AT), AT)
    evolve(profile, decided(1, Outcome.DEFER, next_eligible=AT + 9), AT)
    evolve(profile, WakeSet(1, AT + 9, "proposal", 1), AT)
    assert profile.pending[1].timer == 1
    assert profile.instances[1].proposal == 1
    evolve(profile, WakeCleared(1, AT + 9), AT + 9)
    evolve(profile, decided(1, Outcome.DROP), AT + 9)
    assert (profile.pending, profile.timers, profile.instances[1].proposal) == ({}, {}, 0)
    assert (profile.decision_count, profile.proposal_count, profile.ledger) == (2, 1, [])


def test_a_failure_gives_the_slot_back_and_other_receipts_do_not() -> None:
    profile = Profile("u1")
    evolve(profile, decided(1), AT)
    evolve(profile, ReceiptNoted("m1", "delivered", AT + 1), AT + 1)
    evolve(profile, ReceiptNoted("m1", "delivered", AT + 2), AT + 2)
    assert [slot.message_id for slot in profile.ledger] == ["m1"]
    assert profile.sends["m1"].statuses == ["delivered"]
    assert profile.engagement == {"email/delivered": [AT + 1, AT + 2]}
    evolve(profile, ReceiptNoted("m1", "failed", AT + 3, released=True), AT + 3)
    assert profile.ledger == []
    evolve(profile, ReceiptNoted("m_gone", "opened", AT), AT)


def test_a_journey_is_entered_moved_through_and_left() -> None:
    profile = Profile("u1")
    evolve(profile, Entered(1, "j", "v", AT, {"p": 1}, "A", 2), AT)
    evolve(profile, WakeSet(1, AT + 9, "instance", 1), AT)
    assert (profile.instances[1].timer, profile.instances[1].waiting_until) == (1, AT + 9)
    evolve(profile, Moved(1, 4), AT)
    assert (profile.instances[1].timer, profile.instances[1].position) == (0, 4)
    evolve(profile, Exited(1, "j", "done", AT + 2), AT + 2)
    evolve(profile, Entered(2, "j", "v", AT + 3), AT + 3)
    evolve(profile, Exited(2, "j", "done", AT + 4), AT + 4)
    assert profile.journeys_done == {"j/done": 2}
    assert (profile.entered, profile.exited, profile.instances) == (
        {"j": AT + 3},
        {"j": AT + 4},
        {},
    )


def test_a_shorter_suppression_does_not_end_a_longer_one() -> None:
    profile = Profile("u1")
    for until in (AT + 5, AT + 9, AT + 7):
        evolve(profile, Suppressed("rule", until), AT)
    assert profile.suppressed == {"rule": AT + 9}


def test_an_assignment_of_nothing_removes_the_trait() -> None:
    profile = Profile("u1")
    evolve(profile, Assigned("stage", "warm"), AT)
    evolve(profile, Assigned("stage", None), AT)
    evolve(profile, Assigned("other", None), AT)
    assert profile.traits == {}


def test_facts_that_only_tell_change_nothing() -> None:
    profile = Profile("u1")
    for record in (Duplicated("e"), Unmatched("tick"), Truncated("moves")):
        evolve(profile, record, AT)
    assert profile == Profile("u1")


def test_a_receipt_is_folded_as_it_was_taken() -> None:
    profile, again = Profile("u1"), Profile("u1")
    receipt = Receipt("r", "u1", "m1", ReceiptStatus.OPENED, AT, AT)
    records = [ReceiptNoted("m1", "opened", AT)]
    for one in (profile, again):
        evolve(one, decided(1), AT)
    evolve_input(profile, receipt, AT)
    evolve(profile, records[0], AT)
    fold(again, receipt, records, AT)
    assert again == profile
    assert profile.active_at == 0  # a receipt is not the customer's own act


# Bounds: the oldest goes first.


def test_every_collection_has_a_bound() -> None:
    profile = Profile("u1")
    for number in range(SEEN_MAX + 5):
        evolve_input(profile, event(number, name=f"n{number % (HISTORY_NAMES_MAX + 3)}"), AT)
    assert SEEN_MAX - SEEN_PART_MAX < count_seen(profile.seen) <= SEEN_MAX
    assert len(profile.history) == HISTORY_NAMES_MAX
    for number in range(max(SENDS_MAX, LEDGER_MAX) + 5):
        evolve(profile, decided(number), AT + number)
    assert len(profile.sends) == SENDS_MAX
    assert len(profile.ledger) == LEDGER_MAX
    assert profile.ledger[0].message_id == "m5"
    last = next(reversed(profile.sends))
    for number in range(ENGAGEMENT_RECENT_MAX + 5):
        evolve(profile, ReceiptNoted(last, "opened", AT + number), AT)
    assert profile.engagement["email/opened"][0] == AT + 5
    traits = {f"t{number}": number for number in range(TRAITS_MAX + 5)}
    evolve_input(profile, event(10**6, traits={**traits, "t0": "new"}), AT)
    assert len(profile.traits) == TRAITS_MAX
    evolve(profile, Assigned("one_more", 1), AT)
    assert "one_more" not in profile.traits


def test_recent_events_have_a_bound_and_none_is_lost() -> None:
    profile = Profile("u1")
    evolve_input(profile, event(), AT)
    for number in range(SERIES_EXACT_MAX + 5):
        evolve(profile, Counted("Seen", AT + number, DAY_MS), AT + number)
    recent = profile.history["Seen"].recent
    assert recent is not None
    rows = rows_of(recent)
    assert len(rows) == SERIES_EXACT_MAX + 1
    assert sum(row.number for row in rows) == SERIES_EXACT_MAX + 5
