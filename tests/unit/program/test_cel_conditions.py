"""What conditions give: values, the absent, time, the past, and what they say they look at."""

from typing import Any

import pytest

from engine.instants import DAY_MS, HOUR_MS, parse_instant
from engine.measures.series import Series, add, amount_of
from engine.profile import History, Profile
from engine.program.cel.compiler import compile_condition, compile_value
from engine.program.scope import Scope

NOW = parse_instant("2026-03-02T10:30:00Z")  # a Monday
EVENT: dict[str, Any] = {
    "price": 60.0,
    "quantity": 3,
    "sku": "A-1",
    "category": "shoes/men",
    "gift": True,
    "coupon": None,
    "order id": "o-7",
    "starts_at": "2026-03-05T10:30:00+02:00",
    "broken_at": "soon",
    "tags": ["new", "sale"],
    "items": [{"sku": "A-1", "price": 20}, {"sku": "B-2", "price": 2.5}, {"sku": "C-3"}],
    "address": {"city": "Durban", "geo": {"lat": -29.9}},
}
TRAITS: dict[str, Any] = {"country": "PT", "plan": "pro", "age": 41, "vip": False, "visits": "12"}


def _scope() -> Scope:
    profile = Profile("u1", traits={**TRAITS, "scores": {"churn": 0.8, "spend": "high"}})
    times = [NOW - 40 * DAY_MS, NOW - 3 * DAY_MS, NOW - HOUR_MS]
    recent = Series()
    for at, revenue in zip(times, (100.0, 20.5, None), strict=True):
        amount = amount_of(revenue)
        add(recent, at, {} if amount is None else {"revenue": amount}, edge_at=0)
    profile.history["Order Completed"] = History(3, times[0], times[-1], recent)
    profile.engagement["email/opened"] = [NOW - 8 * DAY_MS, NOW - 2 * DAY_MS]
    profile.segments["vip"] = NOW
    return Scope(
        profile,
        NOW,
        event=EVENT,
        event_name="Product Added",
        context={"ip": "10.0.0.1"},
    )


def value_of(source: str) -> object:
    return compile_value(source).condition.evaluate(_scope())


def holds(source: str) -> bool:
    return compile_condition(source).condition.test(_scope())


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 + 2 * 3 - 4", 3),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("7 % -3", 1),
        ("7.0 / 2", 3.5),
        ("event.quantity * event.price", 180.0),
        ("-event.quantity", -3),
        ("0x1F + 1", 32),
        ("1e3", 1000.0),
        ("-9223372036854775808", -(2**63)),
        ('"a" + \'b\' + """c"d"""', 'abc"d'),
        (r'"\x41é\101\n\t\\"', "AéA\n\t\\"),
        (r'r"\d"', r"\d"),
        ("[1, 2] + [3]", [1, 2, 3]),
        ('{"a": event.sku, "b": [1, null]}', {"a": "A-1", "b": [1, None]}),
        ("[1, 2,][1]", 2),
        ('{"a": {"b": 5}}.a.b', 5),
        ("event.items[1].price", 2.5),
        ("event.items[1.0].sku", "B-2"),
        ('event["order id"]', "o-7"),
        ("event.address.geo.lat", -29.9),
        ('event.address["city"]', "Durban"),
        ('size("😀é") + size([1]) + event.tags.size() + size(event.address)', 7),
        ("event.sku.lower() + profile.plan.upper()", "a-1PRO"),
        ("event.gift ? 1 : 2", 1),
        ("false ? 1 : true ? 2 : 3", 2),
        ("int(event.price) + int(profile.visits) + int(-2.9)", 70),
        ('double("2.5") * 2', 5.0),
        ("string(1.0) + string(2.5) + string(7) + string(true)", "12.57true"),
        ("event.items.filter(item, item.price > 10).map(item, item.sku)", ["A-1"]),
        ("event.items.map(item, has(item.price), item.sku)", ["A-1", "B-2"]),
        ("[[1, 2], [3]].map(row, row.map(cell, cell * 10))", [[10, 20], [30]]),
        ("1 // a comment", 1),
        ("scores.churn", 0.8),
        ("event_name", "Product Added"),
    ],
)
def test_an_expression_gives_its_value(source: str, value: object) -> None:
    found = value_of(source)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "source",
    [
        'event.price > 50 && profile.country in ["ZA", "PT"] && event.category.startsWith("shoes")',
        "event.quantity == 3.0",
        "1 < event.quantity && event.quantity <= 3",
        '"sale" in event.tags',
        '"city" in event.address',
        '"sku" in event',
        "3 in [1, 2, 3.0]",
        "event.quantity in [1, 3]",
        "event.sku in ['A-1','B','C','D','E','F','G','H','I','J']",
        "has(event.coupon)",
        "event.coupon == null",
        "event.sku != null",
        "event.gift != 1",
        "event.gift == true",
        "profile.vip == false",
        "event.gift",
        "!profile.vip",
        "false < true",
        'event.sku < "B"',
        "event.sku.endsWith('1') && event.sku.contains('-') && event.sku.matches('^[A-Z]-[0-9]+$')",
        'matches(event.sku, "a|A")',
        "event.items.exists(item, item.price < 5)",
        "event.items.exists_one(item, item.sku == 'B-2')",
        "event.tags.all(tag, tag.size() > 2)",
        "[].all(x, false)",
        "event.address.exists(key, key == 'city')",
        "event == event",
        "event.tags == ['new', 'sale']",
        "[1, [2.0]] == [1.0, [2]]",
        '{"a": event.quantity} == {"a": 3}',
        "scores.churn > 0.5",
        'context.ip == "10.0.0.1"',
        'event_name == "Product Added"',
        'in_segment("vip")',
    ],
)
def test_a_condition_holds(source: str) -> None:
    assert holds(source) is True


@pytest.mark.parametrize(
    "source",
    [
        "event.price < 50",
        "event.gift == 1",
        "true in [1]",
        "[true] == [1]",
        "event.gift > 0",
        "event.gift in [1, 2]",
        'event.quantity < "5"',
        'event.sku.startsWith("a")',
        "event.sku.contains(event.quantity)",
        "event.tags.exists(tag, tag > 1)",
        "event.sku.exists(letter, true)",
        "event.sku",
        "event.coupon",
        'in_segment("nobody")',
    ],
)
def test_a_condition_does_not_hold(source: str) -> None:
    assert holds(source) is False


@pytest.mark.parametrize("sign", ["==", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("other", ["1", '"a"', "true", "event.price", "event.nothing", "-1.5"])
def test_comparing_with_the_absent_is_false(sign: str, other: str) -> None:
    assert holds(f"event.nothing {sign} {other}") is False
    assert holds(f"{other} {sign} event.nothing") is False
    assert holds(f"!(event.nothing {sign} {other})") is True


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("!event.nothing", True),
        ("!!event.nothing", False),
        ("event.nothing == null", False),
        ("event.nothing != null", False),
        ("event.nothing in [1]", False),
        ('event.nothing in ["a"]', False),
        ("1 in event.nothing", False),
        ('"a" in event.nothing', False),
        ("has(event.nothing)", False),
        ("has(event.nothing.deeper)", False),
        ("has(event.price.deeper)", False),
        ('event.nothing.startsWith("a")', False),
        ('event.nothing.matches(".*")', False),
        ("event.nothing.exists(x, true)", False),
        ("event.nothing.all(x, true)", False),
        ("false && event.nothing", False),
        ("event.nothing && false", False),
        ("event.nothing && true", False),
        ("true || event.nothing", True),
        ("event.nothing || true", True),
        ("event.nothing || false", False),
        ("event.nothing ? true : false", False),
        ("[event.nothing] == [event.nothing]", False),
        ("size([event.nothing]) == 1", False),
    ],
)
def test_the_absent_is_never_true(source: str, result: bool) -> None:  # noqa: FBT001
    assert holds(source) is result


@pytest.mark.parametrize(
    "source",
    [
        "event.nothing",
        "event.nothing + 1",
        '"a" + event.nothing',
        "-event.nothing",
        "event.nothing.deeper.still",
        "event.sku.length",
        "event.tags[9]",
        "event.tags[-1]",
        "event.tags[0.5]",
        "event.quantity / 0",
        "event.quantity % 0",
        "event.price / 0.0",
        "event.price % 2",
        "event.gift + 1",
        "event.sku * 2",
        "9223372036854775807 + event.quantity",
        "9223372036854775807 * event.quantity",
        "-9223372036854775808 / -1",
        "1e308 * 1e308",
        "int(event.sku)",
        'int(" 12")',
        "int(1e300)",
        "double(event.tags)",
        "string(event.coupon)",
        "size(event.price)",
        "event.price.lower()",
        "[1, event.nothing]",
        '{"a": event.nothing}',
        "{event.quantity: 1}",
        "[1, 2].map(x, event.nothing)",
        "event.price.filter(x, true)",
        "event.nothing ? event.nothing : event.nothing",
        "timestamp(event.broken_at)",
        "timestamp(event.nothing) - now",
        "duration(event.sku)",
        'last("Never")',
        'since("Never")',
        "event.coupon",
    ],
)
def test_what_has_no_value_is_none(source: str) -> None:
    assert value_of(source) is None


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("now", "2026-03-02T10:30:00Z"),
        ('now - duration("7d")', "2026-02-23T10:30:00Z"),
        ('duration("1w") + now', "2026-03-09T10:30:00Z"),
        ("timestamp(event.starts_at)", "2026-03-05T08:30:00Z"),
        ('timestamp("2026-03-05")', "2026-03-05T00:00:00Z"),
        ("timestamp(1767225600)", "2026-01-01T00:00:00Z"),
        ("timestamp(event.starts_at) - now", "70h"),
        ('duration("1h30m") + duration("2d")', "2970m"),
        ('duration("-90s")', "-90s"),
        ('string(duration("90m"))', "5400s"),
        ("string(now)", "2026-03-02T10:30:00Z"),
        ("int(now)", NOW // 1000),
        ("now.getDayOfWeek()", 1),
        ("now.getFullYear() * 100 + now.getMonth()", 202602),
        ('now.getHours("Africa/Johannesburg")', 12),
        ('now.getDayOfWeek("Pacific/Auckland")', 1),
        ('timestamp("2026-07-01T00:30:00Z").getHours("Europe/Lisbon")', 1),
        ('timestamp("1969-12-31T23:59:58.250Z").getSeconds()', 58),
        ('timestamp("1969-12-31T23:59:58.250Z").getDayOfWeek()', 3),
        ('duration("150m").getHours()', 2),
        ('last("Order Completed")', "2026-03-02T09:30:00Z"),
        ('since("Order Completed")', "1h"),
    ],
)
def test_times_are_counted_in_milliseconds_and_handed_out_as_text(
    source: str, value: object
) -> None:
    assert value_of(source) == value


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ('since("Order Completed") < duration("2h")', True),
        ('since("Never") < duration("2h")', False),
        ('since("Never") >= duration("2h")', False),
        ('now - last("Order Completed") == duration("1h")', True),
        ('last("Never") != now', False),
        ("timestamp(event.starts_at) > now", True),
        ("timestamp(event.broken_at) > now || timestamp(event.broken_at) <= now", False),
        ('timestamp(event.starts_at) - now < duration("3d")', True),
        ('now + duration("9000w") > now', False),
        ('count("Order Completed", "30d") == 2', True),
        ('count("Order Completed", "1h") == 0', True),
        ('count("Order Completed", "61m") == 1', True),
        ('sum("Order Completed", "revenue", "90d") == 120.5', True),
        ('sum("Never", "revenue", "90d") == 0', True),
        ('engagement("email", "opened", "7d") == 1', True),
        ('count("Never", "1d") == 0 && !in_segment("nobody")', True),
    ],
)
def test_the_past_is_compared_as_time_and_numbers(source: str, result: bool) -> None:  # noqa: FBT001
    assert holds(source) is result


def test_a_list_longer_than_the_limit_is_as_if_absent() -> None:
    short, long = {"a": [1] * 1_000}, {"a": [1] * 1_001}
    condition = compile_value("event.a.exists(x, x == 1)").condition
    mapped = compile_value("event.a.map(x, x)").condition
    assert condition.test(Scope(Profile("u1"), NOW, event=short)) is True
    assert condition.test(Scope(Profile("u1"), NOW, event=long)) is False
    assert mapped.evaluate(Scope(Profile("u1"), NOW, event=long)) is None


def test_a_list_inside_a_macro_is_shorter() -> None:
    condition = compile_condition("[1].exists(x, event.a.exists(y, y == x))").condition
    assert condition.test(Scope(Profile("u1"), NOW, event={"a": [1] * 100})) is True
    assert condition.test(Scope(Profile("u1"), NOW, event={"a": [1] * 101})) is False


def test_a_text_that_grows_beyond_the_limit_is_absent() -> None:
    condition = compile_value("event.a + event.a").condition
    assert condition.evaluate(Scope(Profile("u1"), NOW, event={"a": "x" * 40_000})) is None


def test_a_condition_says_what_it_looks_at() -> None:
    compiled = compile_condition(
        'count("Order Completed", "30d") > 0 && sum("Order Completed", "revenue", "2w") > 5 && '
        'since("Seen") < duration("1d") && last("Seen") < now && '
        'count("Order Completed", "30d") < 9 && in_segment("vip") && profile.plan == "pro" && '
        "has(profile.address.city) && "
        'event.items.exists(i, i.sku == event["order id"]) && "gift" in event && has(event.sku)'
    )
    assert compiled.history == (
        ("Order Completed", 30 * DAY_MS, None),
        ("Order Completed", 14 * DAY_MS, "revenue"),
        ("Seen", 0, None),
    )
    assert compiled.segments == ("vip",)
    assert compiled.traits == ("plan", "address")
    assert compiled.event_fields == ("items", "order id", "gift", "sku")
    assert compiled.kind == "bool"


def test_going_through_all_traits_is_said_with_a_star() -> None:
    assert compile_condition("profile.exists(name, name == 'x')").traits == ("*",)
    assert compile_condition("profile[event.name] == 1").traits == ("*",)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("event.a", "dynamic"),
        ("event.a == 1", "bool"),
        ("event.a * 2", "number"),
        ("1 + 2", "int"),
        ("1 + 2.0", "double"),
        ("now", "timestamp"),
        ("now - now", "duration"),
        ("[1]", "list"),
        ("{}", "map"),
        ("null", "null"),
        ("event.a.lower()", "string"),
    ],
)
def test_the_kind_of_a_value_is_known_in_advance(source: str, kind: str) -> None:
    assert compile_value(source).kind == kind


def test_a_list_written_out_is_a_new_one_each_time() -> None:
    condition = compile_value("[1, 2]").condition
    first = condition.evaluate(_scope())
    first.append(3)
    assert condition.evaluate(_scope()) == [1, 2]


def test_a_compiled_condition_can_reach_no_builtins() -> None:
    condition = compile_condition("event.a == \"__import__('os')\"").condition
    names = condition.test.__globals__
    assert names["__builtins__"] == {}
    assert "open" not in names
