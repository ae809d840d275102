"""Live traits in conditions and messages: what they give, and when that changes by itself."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from adapters.files.yaml12 import read_yaml
from engine.choice.content import find_content, render
from engine.events import Event, EventKind
from engine.instants import DAY_MS, HOUR_MS, NEVER_AT, format_instant
from engine.profile import Profile
from engine.program.cel.explain import explain
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.program.scope import Scope
from engine.program.until import parse_until
from engine.program.view import live_traits
from engine.records import Counted, Gathered
from engine.step import step

AT = 1_772_445_600_000
SNIPPET = Path(__file__).resolve().parents[2] / "docs" / "snippets" / "traits" / "workspace.yaml"


def program(segments: dict[str, str] | None = None, **traits: dict[str, Any]) -> Program:
    return compile_source(
        {
            "workspace": "shop",
            "traits": traits,
            "segments": segments or {},
            "channels": {"app": {"adapter": "inbox"}},
            "message_types": {"promo": {"purpose": "marketing", "channels": ["app"]}},
        }
    )


def tell(
    profile: Profile, program: Program, name: str, at: int, now: int | None = None, **event: Any
) -> list[Any]:
    given = Event(f"{name}-{at}", EventKind.TRACK, name, "u1", None, at, at, properties=dict(event))
    return step(profile, given, program, at if now is None else now).records


def holds(profile: Profile, program: Program, segment: str, now: int) -> tuple[bool, int | None]:
    scope = Scope(profile, now, book=program)
    truth, changes_at = program.membership.segments[segment].flip(scope)
    return truth, None if changes_at == NEVER_AT else changes_at


def test_the_workspace_of_the_reference_is_sound_and_its_traits_follow_the_events() -> None:
    document = read_yaml(SNIPPET.read_text(encoding="utf-8"), "workspace.yaml")
    shop, profile = compile_source(document.value, document.places), Profile("u1")
    tell(profile, shop, "Product Viewed", AT - DAY_MS, category="hats")
    for day in range(3):
        at = AT + day * DAY_MS
        tell(profile, shop, "Order Completed", at, revenue=250.5, currency="ZAR", category="shoes")
    now = AT + 2 * DAY_MS
    traits = live_traits(profile, shop, now)
    scores = traits.pop("top_category_scores")
    assert list(scores) == ["shoes", "hats"]
    assert scores["shoes"] == pytest.approx(
        5 * sum(0.5 ** (day / 30) for day in range(3)), rel=0.02
    )
    declared = {name: value for name, value in traits.items() if name in shop.traits}
    assert declared == {
        "orders_30d": 3,
        "spent_90d": 751.5,
        "first_order_at": format_instant(AT),
        "last_category": "hats",
        "categories_30d": 1,
        "average_order": 250.5,
        "order_interval": "1d",
        "top_category": "shoes",
        "is_loyal": True,
    }
    assert [name for name in shop.membership.segments if holds(profile, shop, name, now)[0]] == [
        "drawn_to_shoes",
        "loyal",
        "new_customers",
    ]
    assert holds(profile, shop, "slowing_down", now + 16 * DAY_MS)[0]


def test_a_window_says_when_it_changes_and_does_so_then() -> None:
    shop = program(
        {"busy": "profile.views >= 2"}, views={"count": "Product Viewed", "window": "1d"}
    )
    profile = Profile("u1")
    for hours in (0, 3, 5):
        tell(profile, shop, "Product Viewed", AT + hours * HOUR_MS)
    now = AT + 6 * HOUR_MS
    assert holds(profile, shop, "busy", now) == (True, AT + DAY_MS)
    assert holds(profile, shop, "busy", AT + DAY_MS) == (True, AT + 3 * HOUR_MS + DAY_MS)
    assert holds(profile, shop, "busy", AT + 3 * HOUR_MS + DAY_MS)[0] is False


@pytest.mark.parametrize(
    ("condition", "holds_before", "changes_at"),
    [
        ('count("Paid", "7d") > 0', True, AT + 7 * DAY_MS),
        ('sum("Paid", "total", "7d") > 9', True, AT + 7 * DAY_MS),
        ('since("Paid") >= duration("2d")', False, AT + 2 * DAY_MS),
        ('since("Paid") < duration("2d")', True, AT + 2 * DAY_MS),
        ('engagement("app", "opened", "3d") == 1', True, AT + 3 * DAY_MS),
        ("profile.kinds == 1", True, AT + 5 * DAY_MS),
        ("profile.spent == 10.0", True, AT + 4 * DAY_MS),
        ("profile.spent_twice > 19", True, AT + 4 * DAY_MS),
    ],
)
def test_every_answer_that_time_changes_says_when(
    condition: str, *, holds_before: bool, changes_at: int
) -> None:
    shop = program(
        {"x": condition},
        kinds={"distinct": "Paid", "of": "kind", "window": "5d"},
        spent={"sum": "Paid", "of": "total", "window": "4d"},
        spent_twice={"expr": "profile.spent * 2"},
    )
    profile = Profile("u1")
    tell(profile, shop, "Paid", AT, total=10, kind="a")
    profile.engagement["app/opened"] = [AT]
    assert holds(profile, shop, "x", AT + HOUR_MS) == (holds_before, changes_at)
    assert holds(profile, shop, "x", changes_at - 1)[0] is holds_before
    assert holds(profile, shop, "x", changes_at)[0] is not holds_before


def test_an_answer_of_exactly_the_duration_changes_a_millisecond_later() -> None:
    shop, profile = program({"x": 'since("Paid") > duration("2d")'}), Profile("u1")
    tell(profile, shop, "Paid", AT)
    assert holds(profile, shop, "x", AT + 2 * DAY_MS) == (False, AT + 2 * DAY_MS + 1)
    assert holds(profile, shop, "x", AT + 2 * DAY_MS + 1) == (True, None)


def test_what_compares_the_present_is_looked_at_again_when_it_changes() -> None:
    shop = program({"x": 'now - last("Paid") > duration("2d")', "y": "profile.plan == 'pro'"})
    profile = Profile("u1")
    tell(profile, shop, "Paid", AT)
    assert holds(profile, shop, "x", AT + 1) == (False, AT + 2 * DAY_MS + 1)
    assert holds(profile, shop, "y", AT + 1) == (False, None)


def test_a_declared_trait_goes_before_a_stated_one_and_keeps_its_kind() -> None:
    shop = program({"x": "profile.views > 0"}, views={"count": "Product Viewed"})
    profile = Profile("u1", traits={"views": "many"})
    assert not holds(profile, shop, "x", AT)[0]
    tell(profile, shop, "Product Viewed", AT)
    assert holds(profile, shop, "x", AT)[0]
    assert live_traits(profile, shop, AT)["views"] == 1


def test_a_live_trait_is_there_or_not() -> None:
    shop = program(
        {"x": "has(profile.paid_at)", "y": '"paid_at" in profile', "z": "!has(profile.views)"},
        paid_at={"first": "Paid"},
        views={"count": "Product Viewed"},
    )
    profile = Profile("u1")
    assert [holds(profile, shop, name, AT)[0] for name in "xyz"] == [False, False, False]
    tell(profile, shop, "Paid", AT)
    assert [holds(profile, shop, name, AT)[0] for name in "xyz"] == [True, True, False]


def test_an_explanation_shows_a_live_trait_as_it_was_read() -> None:
    shop = program(views={"count": "Product Viewed"})
    profile = Profile("u1")
    tell(profile, shop, "Product Viewed", AT)
    (term,) = explain("profile.views >= 2", Scope(profile, AT, book=shop))
    assert str(term) == "profile.views >= 2 -> false, profile.views was 1"


def test_a_moment_can_be_relative_to_a_live_trait() -> None:
    shop = program(paid_at={"last": "Paid"})
    until = parse_until("profile.paid_at + 30d")
    profile = Profile("u1")
    assert until(Scope(profile, AT, book=shop), ZoneInfo("UTC")) is None
    tell(profile, shop, "Paid", AT)
    assert until(Scope(profile, AT, book=shop), ZoneInfo("UTC")) == AT + 30 * DAY_MS


def test_a_message_shows_live_traits_beside_stated_ones() -> None:
    shop = compile_source(
        {
            "workspace": "shop",
            "traits": {"paid_at": {"last": "Paid"}, "spent": {"sum": "Paid", "of": "total"}},
            "channels": {"app": {"adapter": "inbox"}},
            "message_types": {"promo": {"purpose": "marketing", "channels": ["app"]}},
            "messages": {
                "hi": {
                    "type": "promo",
                    "content": {
                        "app": {
                            "body": "{{ profile.name }} {{ profile.spent }}"
                            "{% if profile.paid_at %} {{ profile.paid_at | date: '%Y' }}{% endif %}"
                        }
                    },
                }
            },
        }
    )
    profile = Profile("u1", traits={"name": "Thandi"})

    def body() -> str:
        content = find_content(profile, shop, shop.messages["hi"], "app")
        return render(
            profile, shop, content,
            event={}, message_id="m", timezone="UTC", now=AT,
        )["body"]  # fmt: skip

    assert body() == "Thandi 0.0"
    tell(profile, shop, "Paid", AT, total=12.5)
    assert body() == "Thandi 12.5 2026"


def test_an_event_leaves_nothing_where_no_trait_looks_at_it() -> None:
    shop = program(
        views={"count": "Product Viewed", "window": "1d"},
        rand={"sum": "Paid", "of": "total", "if": 'event.currency == "ZAR"'},
    )
    profile = Profile("u1")
    assert tell(profile, shop, "Seen", AT)[1:] == []
    assert [type(one) for one in tell(profile, shop, "Product Viewed", AT + 1)] == [Counted]
    assert tell(profile, shop, "Paid", AT + 2, total=5, currency="USD") == []
    assert tell(profile, shop, "Paid", AT + 3, total="5", currency="ZAR") == []
    assert tell(profile, shop, "Product Viewed", AT - DAY_MS, now=AT + 4) == []
    assert [type(one) for one in tell(profile, shop, "Paid", AT + 5, total=5, currency="ZAR")] == [
        Gathered
    ]


def test_traits_that_look_alike_share_what_is_kept() -> None:
    zar = {"of": "total", "if": 'event.currency == "ZAR"'}
    shop = program(
        a={"sum": "Paid", "window": "7d", **zar},
        b={"sum": "Paid", "window": "30d", **zar},
        c={"average": "Paid", "window": "1d", **zar},
    )
    profile = Profile("u1")
    tell(profile, shop, "Paid", AT, total=5, currency="ZAR")
    assert len(shop.history["Paid"].feeds) == 1
    assert len(profile.measures) == 1
    later = AT + 20 * DAY_MS
    tell(profile, shop, "Paid", later, total=7, currency="ZAR")
    traits = live_traits(profile, shop, later)
    assert (traits["a"], traits["b"], traits["c"]) == (7.0, 12.0, 7.0)


def test_a_profile_with_measures_is_read_again_as_it_was() -> None:
    document = read_yaml(SNIPPET.read_text(encoding="utf-8"), "workspace.yaml")
    shop, profile = compile_source(document.value, document.places), Profile("u1")
    for day in range(3):
        at = AT + day * DAY_MS
        tell(profile, shop, "Order Completed", at, revenue=9.99, currency="ZAR", category="shoes")
    kept = msgspec.msgpack.encode(profile)
    again = msgspec.msgpack.decode(kept, type=Profile)
    assert again == profile
    for one in (profile, again):
        tell(one, shop, "Order Completed", AT + 4 * DAY_MS, revenue=1, category="shoes")
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(profile)
    assert live_traits(again, shop, AT + 5 * DAY_MS) == live_traits(profile, shop, AT + 5 * DAY_MS)
