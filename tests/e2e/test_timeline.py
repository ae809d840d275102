"""A customer's history across channels: what it was about, what it changed, and whose it was."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors.rows import OutboxRow
from adapters.gateway import query, timeline
from engine.events import (
    ChangeKind,
    ConsentStatement,
    ConsentStatus,
    Departed,
    EventKind,
    Linked,
    Listing,
    Merged,
    Rebirth,
    Receipt,
    ReceiptStatus,
    Review,
    Scrubbed,
    Tick,
    TraitChange,
)
from engine.instants import DAY_MS, HOUR_MS
from engine.profile import Profile, Sent
from engine.reasons import Outcome, Reason
from engine.records import (
    Assigned,
    ConsentNoted,
    Entered,
    Exited,
    Moved,
    ReceiptNoted,
    SegmentEntered,
    SegmentLeft,
    SegmentsReviewed,
    SessionBegan,
)
from tests.e2e.reading_host import NOW, Served, decided, event, serve


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve(query.routes) as running:
        running.runtime.profiles["u1"] = Profile("u1")
        yield running


def said(status: ConsentStatus, at: int = NOW) -> ConsentStatement:
    return ConsentStatement("marketing", "email", status, at, "form")


async def entries(served: Served, filters: str = "") -> list[dict[str, Any]]:
    found = await served.get(f"/v1/customers/u1/timeline?{filters or 'limit=200'}")
    return list(found["entries"])


def hour(number: int) -> int:
    """Tell when the entry of a number is written down."""
    return NOW - DAY_MS + number * HOUR_MS


def write_story(served: Served) -> None:
    """Write what happens to u1: seven entries, over several channels."""
    runtime = served.runtime
    grant = said(ConsentStatus.GRANTED)
    runtime.write(
        "u1",
        event(
            1,
            "Identified",
            kind=EventKind.IDENTIFY,
            traits={"email": "a@b.co", "vip": 1},
            at=hour(1),
        ),
    )
    runtime.write("u1", event(2, "Consent Stated", consents=(grant,)), [SessionBegan(NOW)])
    sent = decided(1, outcome=Outcome.SEND, reason=Reason.SENT, message_id="m_1")
    runtime.write("u1", event(3), [Entered(1, "cart", "sha256:j1", NOW), Moved(1, 1), sent])
    opened = ReceiptNoted("m_1", "opened", NOW)
    runtime.write("u1", Receipt("r-1", "u1", "m_1", ReceiptStatus.OPENED, NOW, NOW), [opened])
    runtime.write("u1", Tick(3, NOW), [Assigned("vip", 2), Exited(1, "cart", "done", NOW)])
    left = ConsentNoted(said(ConsentStatus.WITHDRAWN, NOW + 1))
    runtime.write("u1", Receipt("r-2", "u1", "m_1", ReceiptStatus.UNSUBSCRIBED, NOW, NOW), [left])
    runtime.write("u1", event(7, traits={"email": None, "vip": 2}, at=hour(7)))
    runtime.scripted.sent["m_1"] = OutboxRow("m_1", "u1", "sms", "sent", 1, b"")


async def test_each_entry_says_what_it_changed_from_what_and_its_cause(served: Served) -> None:
    write_story(served)
    told = {
        (entry["seq"], *entry["cause"].values(), change["of"], change["name"]): (
            change["was"],
            change["now"],
        )
        for entry in await entries(served)
        for change in entry["changes"]
    }
    assert told == {
        (1, "e-1", "trait", "email"): (None, "a@b.co"),
        (1, "e-1", "trait", "vip"): (None, 1),
        (2, "e-2", "consent", "marketing/email"): (None, "granted"),
        (2, "e-2", "session", "began"): (None, "2026-03-02T12:00:00Z"),
        (3, "e-3", "journey", "cart"): (None, "entered"),
        (5, "3", "trait", "vip"): (1, 2),
        (5, "3", "journey", "cart"): ("entered", "left: done"),
        (6, "r-2", "consent", "marketing/email"): ("granted", "withdrawn"),
        (7, "e-7", "trait", "email"): ("a@b.co", None),
    }


async def test_statements_about_a_message_type_are_named_for_people(served: Served) -> None:
    for number, channel in enumerate(("*", "email")):
        about = ConsentStatement(
            "*", channel, ConsentStatus.DENIED, NOW, "form", message_type="promotional"
        )
        served.runtime.write("u1", event(number, consents=(about,)))
    told = [change["name"] for entry in await entries(served) for change in entry["changes"]]
    assert told == ["type promotional/email", "type promotional"]
    [found] = await entries(served, "kind=change&name=type+promotional")
    assert found["changes"][0]["now"] == "denied"


@pytest.mark.parametrize(
    ("filters", "seqs"),
    [
        ("kind=decision", [3]),
        ("kind=consent", [6, 2]),
        ("kind=journey", [5, 3]),
        ("kind=change", [7, 6, 5, 3, 2, 1]),
        ("kind=change&name=vip", [5, 1]),
        ("kind=receipt", [6, 4]),
        ("kind=merge", []),
        ("channel=sms", [4]),
        ("channel=email", [6, 3, 2]),
        ("kind=receipt&channel=email", [6]),
        ("name=reminder", [3]),
        ("name=cart&kind=journey", [5, 3]),
        ("name=opened", [4]),
        ("name=vip", [7, 5, 1]),
    ],
)
async def test_entries_are_found_by_what_they_are_about(
    served: Served, filters: str, seqs: list[int]
) -> None:
    write_story(served)
    assert [entry["seq"] for entry in await entries(served, filters)] == seqs


async def test_the_channel_of_a_receipt_is_that_of_its_message(served: Served) -> None:
    write_story(served)
    [receipt] = await entries(served, "name=opened")
    assert receipt["channels"] == ["sms"]
    served.runtime.profiles["u1"].sends["m_1"] = Sent(
        "m_1", 1, "reminder", "promotional", "push", NOW, "cart", 1, "first", NOW, None, "", (), 0
    )
    [receipt] = await entries(served, "name=opened")
    assert receipt["channels"] == ["push"]


async def test_changes_are_the_same_on_every_page(served: Served) -> None:
    write_story(served)
    whole = [(entry["seq"], entry["changes"]) for entry in await entries(served)]
    paged: list[tuple[int, Any]] = []
    cursor = ""
    while True:
        found = await served.get(f"/v1/customers/u1/timeline?limit=2{cursor}")
        paged += [(entry["seq"], entry["changes"]) for entry in found["entries"]]
        if found["next"] is None:
            break
        cursor = f"&cursor={found['next']}"
    assert paged == whole


async def test_what_was_too_far_back_is_not_made_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "LOOKBACK_MAX", 3)
    write_story(served)
    [latest] = await entries(served, "limit=1")
    vip = served.runtime
    vip.write("u1", event(8, traits={"plan": "b", "vip": 9}, at=hour(8)))
    [latest] = await entries(served, "limit=1")
    assert latest["changes"] == [
        {"of": "trait", "name": "vip", "now": 9, "was": 2},
        {"of": "trait", "name": "plan", "now": "b"},
    ]


async def test_the_history_of_who_was_merged_is_one_history(served: Served) -> None:
    runtime = served.runtime
    for number in range(1, 10):
        who = ("u1", "anonymous/a", "stranger")[number % 3]
        runtime.write(who, event(number, traits={"step": number}))
    runtime.write("u1", Linked((("anonymous_id", "a"),), (), NOW))
    runtime.profiles["u1"].absorbed = {"anonymous/a": 7}
    seen: list[tuple[int, str]] = []
    cursor = ""
    while True:
        found = await served.get(f"/v1/customers/u1/timeline?limit=2{cursor}")
        seen += [(entry["seq"], entry["customer"]) for entry in found["entries"]]
        if found["next"] is None:
            break
        cursor = f"&cursor={found['next']}"
    assert seen == [
        (10, "u1"), (9, "u1"), (7, "anonymous/a"), (6, "u1"), (4, "anonymous/a"), (3, "u1"),
        (1, "anonymous/a"),
    ]  # fmt: skip
    for kind in ("merge", "linked"):
        [found] = await entries(served, f"kind={kind}")
        assert (found["seq"], found["cause"]) == (10, {"linked": "anonymous_id"})
    first = (await entries(served))[-1]
    assert first["changes"] == [{"of": "trait", "name": "step", "now": 1, "was": None}]


async def test_a_cursor_that_points_at_somebody_else_shows_nothing_of_them(served: Served) -> None:
    runtime = served.runtime
    runtime.profiles["u2"] = Profile("u2")
    for who in ("u1", "u1", "u2", "u2"):
        runtime.write(who, event(1))
    theirs = await served.get("/v1/customers/u2/timeline?limit=1")
    found = await served.get(f"/v1/customers/u1/timeline?cursor={theirs['next']}")
    assert found["entries"] == []
    assert found["next"] is None


async def test_segments_are_told_of_whoever_changed_them(served: Served) -> None:
    runtime = served.runtime
    runtime.write("u1", event(1), [SegmentEntered("vip", NOW)])
    runtime.write("u1", event(2))
    runtime.write("u1", Review(7, NOW), [
        SegmentLeft("vip", NOW, reviewed=True), SegmentEntered("keen", NOW, reviewed=True),
        SegmentsReviewed(7),
    ])  # fmt: skip
    told = {
        entry["seq"]: [(one["of"], one["name"], one["was"], one["now"]) for one in entry["changes"]]
        for entry in await entries(served, "kind=segment")
    }
    assert told == {
        3: [
            ("segment", "vip", "entered", "left: reviewed"),
            ("segment", "keen", None, "entered: reviewed"),
        ],
        1: [("segment", "vip", None, "entered")],
    }
    assert [one["seq"] for one in await entries(served, "kind=change&name=vip")] == [3, 1]
    [review] = await entries(served, "name=keen")
    assert review["about"] == ["segment", "change"]


async def test_what_a_merge_brought_in_is_a_change_and_leaving_for_it_is_none(
    served: Served,
) -> None:
    runtime = served.runtime
    other = Profile("anon:a", traits={"plan": "gold", "vip": 1}, segments={"keen": 1, "new": 1})
    runtime.write("anon:a", event(1, traits={"plan": "gold", "vip": 1}))
    runtime.write("u1", event(2, traits={"vip": 2}), [SegmentEntered("keen", NOW)])
    runtime.write("anon:a", Departed("u1", "anonymous_id", NOW))
    merged = Merged("anon:a", 1, msgspec.msgpack.encode(other), (), "anonymous_id", NOW)
    runtime.write("u1", merged, [SegmentLeft("new", NOW), SegmentEntered("both", NOW)])
    runtime.profiles["u1"].absorbed = {"anon:a": 3}
    found = {entry["seq"]: entry for entry in await entries(served, "kind=merge")}
    assert found[4]["changes"] == [
        {"of": "trait", "name": "plan", "now": "gold", "was": None},
        {"of": "segment", "name": "both", "now": "entered", "was": None},
    ]
    assert (found[3]["about"], found[3]["changes"]) == (["merge"], [])


async def test_what_registries_say_and_counting_up_a_trait_are_changes(served: Served) -> None:
    runtime = served.runtime
    listing = Listing("repep", "phone", "+525512345678", listed=True, as_of=NOW)
    runtime.write("u1", Scrubbed((listing,), NOW))
    runtime.write("u1", event(2, changes=(TraitChange("visits", ChangeKind.INCREASE, 2),)))
    runtime.write("u1", Rebirth(4, NOW))
    told = [(one["about"], one["changes"]) for one in await entries(served)]
    assert told == [
        (["rebirth"], []),
        (["event", "change"], [{"of": "trait", "name": "visits", "now": 2, "was": None}]),
        (
            ["listing", "change"],
            [{"of": "listing", "name": "repep/phone", "now": "listed", "was": None}],
        ),
    ]
    assert [one["seq"] for one in await entries(served, "name=repep")] == [1]


async def test_who_left_a_segment_entered_before_what_was_read(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "LOOKBACK_MAX", 1)
    served.runtime.write("u1", event(1), [SegmentEntered("vip", NOW)])
    for number in (2, 3):
        served.runtime.write("u1", event(number))
    served.runtime.write("u1", Tick(1, NOW), [SegmentLeft("vip", NOW)])
    [latest] = await entries(served, "limit=1")
    assert latest["changes"] == [{"of": "segment", "name": "vip", "now": "left", "was": "entered"}]


async def test_a_count_is_not_made_up_where_it_began_too_far_back(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "LOOKBACK_MAX", 1)
    more = (TraitChange("visits", ChangeKind.INCREASE, 1),)
    served.runtime.write("u1", event(1, traits={"visits": 40}))
    for number in (2, 3, 4):
        served.runtime.write("u1", event(number, changes=more))
    [latest] = await entries(served, "limit=1")
    assert latest["changes"] == []
    monkeypatch.setattr(timeline, "LOOKBACK_MAX", 9)
    [latest] = await entries(served, "limit=1")
    assert latest["changes"] == [{"of": "trait", "name": "visits", "now": 43, "was": 42}]
