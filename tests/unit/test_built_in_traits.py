"""Traits that nobody declares: orders, RFM, sessions, engagement, and what is new."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from engine.events import Event, EventKind, Receipt, ReceiptStatus
from engine.evolve import evolve
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, format_instant, parse_instant
from engine.measures.engaged import Engaged, note_engaged, unite_engaged
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.program.scope import Scope
from engine.program.view import live_traits
from engine.reasons import Outcome, Reason
from engine.records import Decided
from engine.step import step
from engine.traits.sessions import unite_sessions

AT = parse_instant("2026-03-02T06:00:00Z")  # a Monday, 08:00 in Johannesburg


def shop(**sections: Any) -> Program:
    return compile_source(
        {
            "workspace": "shop",
            "defaults": {"timezone": "Africa/Johannesburg"},
            "channels": {"email": {"adapter": "log"}, "sms": {"adapter": "log"}},
            **sections,
        }
    )


SHOP = shop()


def tell(profile: Profile, name: str, at: int, program: Program = SHOP, **event: Any) -> None:
    given = Event(f"{name}-{at}", EventKind.TRACK, name, "u1", None, at, at, properties=dict(event))
    step(profile, given, program, at)


def send(profile: Profile, number: int, channel: str, at: int) -> None:
    decided = Decided(
        f"d{number}", at, "event", "e", "", 0, "", "hello", "promo", Outcome.SEND, Reason.SENT,
        channel, None, (), "", number, at, None, "", (), message_id=f"m{number}",
    )  # fmt: skip
    evolve(profile, decided, at)


def hear(profile: Profile, number: int, status: str, at: int) -> None:
    given = Receipt(f"{status}{number}-{at}", "u1", f"m{number}", ReceiptStatus(status), at, at)
    step(profile, given, SHOP, at)


def look(profile: Profile, name: str, now: int, program: Program = SHOP) -> Any:
    return live_traits(profile, program, now).get(name)


def changes_at(profile: Profile, name: str, now: int) -> int | None:
    scope = Scope(profile, now, book=SHOP)
    scope.trait(name)
    return scope.changes_at


def test_of_a_stranger_nothing_is_known() -> None:
    told = {"timezone": "Africa/Johannesburg", "lifecycle": "prospect"}  # as of everybody
    assert live_traits(Profile("u1"), SHOP, AT) == told


def test_orders_say_how_many_how_much_and_how_often() -> None:
    profile = Profile("u1")
    worths: list[dict[str, Any]] = [{"revenue": 100, "total": 120}, {"total": 50.5}, {}]
    for day, worth in zip((0, 10, 20), worths, strict=True):
        tell(profile, "Order Completed", AT + day * DAY_MS, **worth)
    now = AT + 21 * DAY_MS
    assert look(profile, "orders", now) == {
        "count": 3,
        "first_at": format_instant(AT),
        "last_at": format_instant(AT + 20 * DAY_MS),
        "total": 150.5,
        "average": 75.25,
        "interval_days": 10.0,
    }
    assert look(profile, "lifetime_value", now) == 150.5


def test_recency_frequency_and_money_are_scored_by_thresholds() -> None:
    profile = Profile("u1")
    for day in (0, 100, 200):
        tell(profile, "Order Completed", AT + day * DAY_MS, revenue=100)
    now = AT + 200 * DAY_MS
    assert look(profile, "rfm", now) == {
        "recency": 0,
        "frequency": 3,
        "monetary": 300.0,
        "recency_score": 5,
        "frequency_score": 3,
        "monetary_score": 3,
        "score": "533",
    }
    later = look(profile, "rfm", now + 61 * DAY_MS)
    assert (later["recency"], later["recency_score"]) == (61, 3)
    own = shop(rfm={"window": "150d", "monetary": [10, 20, 30, 40], "frequency": [1, 2, 3, 4]})
    assert look(profile, "rfm", now, own)["score"] == "535"
    assert look(profile, "rfm", now, own)["frequency"] == 2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 300 * 24), min_size=1, max_size=5), st.integers(0, 400 * 24 * 60))
def test_what_is_worked_out_holds_until_it_is_said_to_change(hours: list[int], after: int) -> None:
    profile = Profile("u1")
    for hour in sorted(hours):
        tell(profile, "Order Completed", AT + hour * HOUR_MS, revenue=60, store=f"s{hour % 3}")
    now = AT + max(hours) * HOUR_MS + after * MINUTE_MS
    for name in ("rfm", "orders", "lifetime_value", "session"):
        until_at = changes_at(profile, name, now)
        before = look(profile, name, now)
        if until_at is None:
            assert look(profile, name, now + 1_000 * DAY_MS) == before
        else:
            assert until_at > now
            assert look(profile, name, until_at - 1) == before
    has_dropped = look(profile, "shopping", now)["has_dropped"]
    until_at = changes_at(profile, "shopping", now)
    if until_at is not None:
        assert look(profile, "shopping", until_at - 1)["has_dropped"] == has_dropped


def test_a_drop_in_frequency_is_told_by_the_customers_own_rhythm() -> None:
    profile = Profile("u1")
    for day in (0, 10, 20):
        tell(profile, "Order Completed", AT + day * DAY_MS)
    assert look(profile, "shopping", AT + 40 * DAY_MS) == {"has_dropped": False, "overdue": 2.0}
    assert look(profile, "shopping", AT + 40 * DAY_MS + 1)["has_dropped"] is True


def test_a_category_and_a_store_are_news_for_thirty_days_where_others_were_before() -> None:
    profile = Profile("u1")
    tell(profile, "Order Completed", AT, store="Durban", products=[{"category": "shoes"}])
    assert "new_category" not in look(profile, "shopping", AT)
    assert "new_store" not in look(profile, "shopping", AT)
    tell(profile, "Product Added", AT + DAY_MS, category="hats")
    later = AT + 2 * DAY_MS
    tell(profile, "Order Completed", later, store="Paarl", products=[{"category": "shoes"}, "odd"])
    found = look(profile, "shopping", later)
    assert (found["new_category"], found["new_store"]) == ("hats", "Paarl")
    assert changes_at(profile, "shopping", later) == AT + 31 * DAY_MS
    assert "new_category" not in look(profile, "shopping", AT + 31 * DAY_MS)


def test_a_session_counts_what_is_viewed_in_it() -> None:
    profile = Profile("u1")
    tell(profile, "Product Viewed", AT)
    tell(profile, "Page Viewed", AT + MINUTE_MS)
    tell(profile, "Product Viewed", AT + 2 * MINUTE_MS)
    first = {"count": 1, "started_at": format_instant(AT), "pages": 1, "products": 2}
    now = AT + 3 * MINUTE_MS
    assert look(profile, "session", now) == {**first, "is_open": True, "duration": 120}
    closes_at = AT + 32 * MINUTE_MS + 1
    assert changes_at(profile, "session", now) == closes_at
    assert look(profile, "session", closes_at)["is_open"] is False
    again_at = AT + 5 * HOUR_MS
    tell(profile, "Page Viewed", again_at)
    tell(profile, "Product Viewed", AT + 4 * MINUTE_MS)  # late: it was in the session before
    found = look(profile, "session", again_at)
    assert (found["count"], found["pages"], found["products"]) == (2, 1, 0)


def test_sessions_of_two_are_added_and_the_later_one_is_current() -> None:
    one, two = Profile("u1"), Profile("u2")
    tell(one, "Page Viewed", AT)
    tell(two, "Product Viewed", AT + DAY_MS)
    both = {name: Profile(name) for name in ("ab", "ba")}
    for into, order in ((both["ab"], (one, two)), (both["ba"], (two, one))):
        for each in order:
            unite_sessions(into, each)
        assert (into.session_count, into.session_at) == (2, AT + DAY_MS)
        assert (into.session_pages, into.session_products) == (0, 1)


def test_engagement_is_told_by_channel_with_the_best_hour() -> None:
    profile = Profile("u1")
    for number in range(4):
        send(profile, number, "email", AT)
        hear(profile, number, "delivered", AT + 1)
    hear(profile, 0, "opened", AT + 2 * HOUR_MS)
    hear(profile, 1, "opened", AT + DAY_MS + 2 * HOUR_MS)
    hear(profile, 1, "opened", AT + DAY_MS + 3 * HOUR_MS)  # the same message once more
    hear(profile, 1, "clicked", AT + DAY_MS + 2 * HOUR_MS)
    found = look(profile, "engagement", AT + DAY_MS + 2 * HOUR_MS)["email"]
    assert found["open_rate"] == pytest.approx(0.5, abs=0.02)
    assert found["click_rate"] == pytest.approx(0.25, abs=0.01)
    assert found["reply_rate"] == 0.0
    assert found["sent"] == pytest.approx(4, abs=0.15)
    assert (found["best_hour"], found["best_hour_of_week"]) == (10, 24 + 10)
    much_later = look(profile, "engagement", AT + 30 * DAY_MS + 12 * HOUR_MS)["email"]
    assert much_later["sent"] == pytest.approx(2, abs=0.05)
    assert much_later["open_rate"] == found["open_rate"]


def test_the_preferred_channel_is_not_that_of_one_lucky_message() -> None:
    profile = Profile("u1")
    for number in range(20):
        send(profile, number, "email", AT)
        if number < 8:
            hear(profile, number, "opened", AT + HOUR_MS)
    send(profile, 100, "sms", AT)
    hear(profile, 100, "clicked", AT + HOUR_MS)
    assert look(profile, "preferred_channel", AT + HOUR_MS) == "email"
    profile.traits["preferred_channel"] = "sms"  # they said so
    assert "preferred_channel" not in live_traits(profile, SHOP, AT)
    assert Scope(profile, AT, book=SHOP).trait("preferred_channel") == "sms"


_noted = st.lists(
    st.tuples(
        st.sampled_from(["sent", "delivered", "opened", "clicked", "replied"]),
        st.integers(0, 100 * DAY_MS),
        st.integers(-1, 167),
    ),
    max_size=8,
)


def engaged_of(noted: list[tuple[str, int, int]]) -> Engaged:
    engaged = Engaged()
    for status, at, hour in noted:
        note_engaged(engaged, status, AT + at, hour)
    return engaged


@given(_noted, _noted)
def test_engagement_of_two_is_that_of_all_their_messages(
    one: list[tuple[str, int, int]], two: list[tuple[str, int, int]]
) -> None:
    united = unite_engaged(engaged_of(one), engaged_of(two))
    assert united == unite_engaged(engaged_of(two), engaged_of(one))
    assert unite_engaged(united, Engaged()) == united
    every = engaged_of([*two, *one])
    assert (united.step, united.hours) == (every.step, every.hours)
    assert united.opened == pytest.approx(every.opened, rel=1e-9)
    assert united.sent == pytest.approx(every.sent, rel=1e-9)


def test_conditions_see_built_in_traits() -> None:
    program = shop(segments={
        "best": 'profile.rfm.score == "511" && profile.orders.count == 1',
        "reads": "profile.engagement.email.open_rate > 0.4",
        "here": "has(profile.session) && profile.session.is_open",
    })  # fmt: skip
    profile = Profile("u1")
    tell(profile, "Order Completed", AT, program)
    assert profile.segments == {"best": AT, "here": AT}
