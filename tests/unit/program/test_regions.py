"""Region packs: what is shipped says what its sources say, and is read strictly."""

from bisect import bisect_right
from datetime import date

import pytest

from engine.instants import DAY_MS, MINUTE_MS, WEEK_MS
from engine.localtime import day_number
from engine.program.countries import COUNTRIES
from engine.program.regions import (
    RegionRule,
    combine_strictest,
    describe_hours,
    intersect_windows,
    load_packs,
    packs_for,
    read_pack,
    rules_for,
)
from engine.windows import parse_window

TODAY = day_number(date(2026, 11, 27))
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MARKETING = ("marketing", "phone")
PACK = """
region = "ZA"
name = "South Africa"
countries = ["ZA"]
subdivisions = ["GP", "WC"]
version = "1"
reviewed_on = 2026-11-27

[[rules]]
id = "hours"
title = "Hours"
source = "A law: https://law.example"
confidence = "high"
hours = "08:00-20:00"
"""

# What the sources say, by country and subdivision: the hours of a week, holidays, the cap.
FACTS = [
    ("ZA", "", "mon-fri 08:00-20:00; sat 09:00-13:00; sun closed", True, ""),
    ("CA", "", "mon-fri 09:00-21:30; sat-sun 10:00-18:00", False, ""),
    ("FR", "", "mon-sat 08:00-20:00; sun closed", True, ""),
    ("IN", "", "daily 10:00-21:00", False, ""),
    ("MX", "", "daily 08:00-20:30", False, ""),
    ("US", "CA", "daily 08:00-21:00", False, ""),
    ("US", "NY", "daily 08:00-21:00", False, ""),
    ("US", "AL", "mon-sat 08:00-20:00; sun closed", True, ""),
    ("US", "CT", "daily 09:00-20:00", False, ""),
    ("US", "FL", "daily 08:00-20:00", False, "3 / 24h"),
    ("US", "KY", "daily 10:00-21:00", False, ""),
    ("US", "LA", "mon-sat 08:00-20:00; sun closed", True, ""),
    ("US", "MA", "daily 08:00-20:00", False, ""),
    ("US", "MD", "daily 08:00-20:00", False, "3 / 24h"),
    ("US", "MI", "daily 09:00-21:00", False, ""),
    ("US", "MN", "daily 09:00-21:00", False, ""),
    ("US", "MS", "mon-sat 08:00-20:00; sun closed", False, ""),
    ("US", "NJ", "daily 08:00-20:00", False, ""),
    ("US", "NM", "daily 09:00-21:00", False, ""),
    ("US", "NV", "daily 09:00-20:00", False, ""),
    ("US", "OK", "daily 08:00-20:00", False, "3 / 24h"),
    ("US", "PA", "daily 08:00-21:00", True, ""),
    ("US", "RI", "mon-fri 09:00-18:00; sat-sun 10:00-17:00", True, ""),
    ("US", "TX", "mon-sat 09:00-21:00; sun 12:00-21:00", False, ""),
    ("US", "UT", "mon-sat 08:00-21:00; sun closed", True, ""),
    ("US", "WA", "daily 08:00-20:00", False, ""),
    ("US", "", "mon-fri 10:00-18:00; sat 10:00-17:00; sun closed", True, "3 / 24h"),
]


def in_force(country: str, subdivision: str, day: int = TODAY) -> list[RegionRule]:
    rules = rules_for(country, subdivision, tuple(load_packs()))
    return [rule for rule in rules if rule.concerns(*MARKETING) and rule.is_in_force(day)]


def is_open(rules: list[RegionRule], week_ms: int) -> bool:
    windows = [rule.window for rule in rules if rule.window is not None]
    return all(bisect_right(window.edges, week_ms) % 2 == 1 for window in windows)


def hours(rules: list[RegionRule]) -> str:
    windows = [rule.window for rule in rules if rule.window is not None]
    return intersect_windows(windows, "all").text


def test_every_pack_loads_in_order() -> None:
    packs = load_packs()
    assert list(packs) == ["CA", "EU", "FR", "GB", "IN", "MX", "US", "ZA"]
    assert load_packs() is packs


def test_every_rule_can_be_followed_up() -> None:
    rules = [rule for pack in load_packs().values() for rule in pack.rules]
    assert [rule.rule for rule in rules if "http" not in rule.source or not rule.title] == []
    assert [rule.rule for rule in rules if not rule.note and not rule.is_enforced] == []
    assert {rule.purposes for rule in rules} == {("marketing",)}


@pytest.mark.parametrize(("country", "subdivision", "week", "holidays", "cap"), FACTS)
def test_the_rules_say_what_their_sources_say(
    country: str, subdivision: str, week: str, *, holidays: bool, cap: str
) -> None:
    rules = in_force(country, subdivision)
    assert hours(rules) == week
    assert any(rule.closed_on_holidays for rule in rules) is holidays
    assert {cap.text for rule in rules for cap in rule.caps} == ({cap} if cap else set())


def test_every_state_with_a_rule_is_in_the_facts() -> None:
    rules = load_packs()["US"].rules
    stated = {code for rule in rules if rule.is_enforced for code in rule.subdivisions}
    assert sorted(stated - {fact[1] for fact in FACTS}) == []


def test_south_africa_is_closed_at_the_very_minute() -> None:
    rules = in_force("ZA", "")
    saturday = 5 * DAY_MS
    clock = {hour: is_open(rules, saturday + hour * 60 * MINUTE_MS) for hour in (8, 9, 12, 13)}
    assert clock == {8: False, 9: True, 12: True, 13: False}
    assert not is_open(rules, saturday + 13 * 60 * MINUTE_MS)
    assert is_open(rules, saturday + 13 * 60 * MINUTE_MS - 1)


def test_an_unknown_state_is_never_open_when_a_state_is_closed() -> None:
    pack = load_packs()["US"]
    unknown = in_force("US", "")
    states = {tuple(in_force("US", code)) for code in pack.subdivisions}
    for week_ms in range(0, WEEK_MS, 15 * MINUTE_MS):
        everywhere = all(is_open(list(rules), week_ms) for rules in sorted(states, key=str))
        assert is_open(unknown, week_ms) == everywhere, week_ms


def test_an_unknown_state_is_never_open_in_any_minute_a_state_rule_is_closed() -> None:
    unknown = in_force("US", "")
    windows = [rule.window for rule in load_packs()["US"].rules if rule.window is not None]
    closed = [
        minute
        for minute in range(WEEK_MS // MINUTE_MS)
        if any(bisect_right(one.edges, minute * MINUTE_MS) % 2 == 0 for one in windows)
    ]
    assert len(closed) == 7 * 24 * 60 - 5 * 8 * 60 - 7 * 60
    assert [minute for minute in closed if is_open(unknown, minute * MINUTE_MS)] == []


@pytest.mark.parametrize("subdivision", ["", "ZZ", "Florida", "US-", "north dakota"])
def test_a_state_nobody_knows_is_unknown(subdivision: str) -> None:
    assert rules_for("US", subdivision, ("US",)) == rules_for("US", "", ("US",))


@pytest.mark.parametrize("subdivision", ["FL", "fl", "US-FL", " us-fl "])
def test_a_state_is_known_however_it_is_written(subdivision: str) -> None:
    rules = rules_for("US", subdivision, ("US",))
    assert [rule.id for rule in rules] == ["tcpa_hours", "fl_hours", "fl_frequency"]


def test_a_country_without_state_rules_has_no_unknown_states() -> None:
    assert rules_for("FR", "", ("FR",)) == rules_for("FR", "57", ("FR",))


def test_a_rule_holds_from_its_first_day_on() -> None:
    (texas,) = [rule for rule in load_packs()["US"].rules if rule.id == "tx_hours"]
    first = day_number(date(2025, 9, 1))
    assert [texas.is_in_force(day) for day in (first - 1, first)] == [False, True]
    assert hours(in_force("US", "TX", first - 1)) == "daily 08:00-21:00"
    assert hours(in_force("US", "TX", first)) == "mon-sat 09:00-21:00; sun 12:00-21:00"


def test_a_rule_ends_before_its_last_day() -> None:
    dates = "effective_from = 2026-01-01\neffective_until = 2026-02-01\n"
    (rule,) = read_pack("ZA.toml", (PACK + dates).encode()).rules
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 31), date(2026, 2, 1)]
    assert [rule.is_in_force(day_number(day)) for day in days] == [False, True, True, False]


def test_an_unknown_state_has_what_was_in_force_on_the_day() -> None:
    before = in_force("US", "", day_number(date(2021, 6, 30)))
    after = in_force("US", "", day_number(date(2021, 7, 1)))
    assert len(after) == len(before) + 1


def test_rules_come_in_the_workspace_order_of_packs() -> None:
    assert [pack.region for pack in packs_for("FR", ["FR", "EU"])] == ["FR", "EU"]
    assert [pack.region for pack in packs_for("FR", ["EU", "ZA", "FR"])] == ["EU", "FR"]
    assert packs_for("DE", ["FR", "ZA"]) == ()
    assert rules_for("US", "", ("ZA",)) == ()


def test_rules_that_only_inform_are_listed_and_never_enforced() -> None:
    assert rules_for("GB", "", ("GB",)) == ()
    assert [rule.id for rule in load_packs()["GB"].rules] == ["pecr_consent", "charity_soft_opt_in"]


def test_a_rule_concerns_marketing_by_its_channels_only() -> None:
    rules = {rule.rule: rule for pack in load_packs().values() for rule in pack.rules}
    federal = rules["regions.US.tcpa_hours"]
    african = rules["regions.ZA.direct_marketing_hours"]
    asked = [
        ("marketing", "phone"),
        ("marketing", "email"),
        ("marketing", ""),
        ("service", "phone"),
    ]
    assert [federal.concerns(*one) for one in asked] == [True, False, False, False]
    assert [african.concerns(*one) for one in asked] == [True, True, False, False]


def test_a_rule_names_itself_and_its_version() -> None:
    version = load_packs()["US"].version
    (federal, *_) = rules_for("US", "NY", ("US",))
    assert (federal.rule, federal.stamp) == ("regions.US.tcpa_hours", f"US/{version}")
    names = [rule.rule for rule in rules_for("US", "", ("US",))]
    assert len(names) == len(set(names))
    assert {rule.stamp for rule in rules_for("US", "", ("US",))} == {f"US/{version}"}


def test_the_union_and_its_neighbours_are_covered() -> None:
    countries = load_packs()["EU"].countries
    assert len(countries) == len(set(countries)) == 30
    assert set(countries) <= set(COUNTRIES)
    assert {"DE", "FR", "NO"} <= set(countries)
    assert "GB" not in countries


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (["08:00-21:00", "09:00-20:30"], "daily 09:00-20:30"),
        ([["08:00-12:00", "13:00-20:00"], "10:00-15:00"], "daily 10:00-12:00, 13:00-15:00"),
        (["20:00-02:00", "00:00-24:00"], "daily 00:00-02:00, 20:00-24:00"),
        (["08:00-12:00", "12:00-20:00"], "daily closed"),
        (["00:00-24:00"], "daily 00:00-24:00"),
        ([{"sun": "20:00-02:00"}], "mon 00:00-02:00; tue-sat closed; sun 20:00-24:00"),
    ],
)
def test_windows_are_open_together_where_each_is(windows: list[object], expected: str) -> None:
    parsed = [parse_window(one, "one") for one in windows]
    joint = intersect_windows(parsed, "both")
    assert (joint.text, joint.rule) == (expected, "both")
    for minute in range(0, WEEK_MS // MINUTE_MS, 30):
        each = all(bisect_right(one.edges, minute * MINUTE_MS) % 2 == 1 for one in parsed)
        assert (bisect_right(joint.edges, minute * MINUTE_MS) % 2 == 1) == each


def test_hours_are_described_for_every_day() -> None:
    window = parse_window({"weekdays": "09:00-17:00"}, "channels.sms.window")
    assert describe_hours(window) == "mon-fri 09:00-17:00; sat-sun closed"


def test_what_is_computed_says_how_sure_its_least_sure_part_is() -> None:
    rules = load_packs()["US"].rules
    assert combine_strictest(rules)[0].confidence == "low"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('region = "ZA"', 'region = "US"', "ZA.toml: the region is 'US'"),
        ('countries = ["ZA"]', 'countries = ["ZB"]', "ZA.toml: not countries: ['ZB']"),
        ('version = "1"', "", "ZA.toml: Object missing required field `version`"),
        ("[[rules]]", "colour = 1\n[[rules]]", "ZA.toml: Object contains unknown field `colour`"),
        ("[[rules]]", "[[rules", "ZA.toml: "),
        ('"08:00-20:00"', '"8-20"', "ZA.toml: rules[0] hours: '8-20' is not opening hours"),
        ('"high"', '"sure"', "ZA.toml: rules[0] hours: Invalid enum value 'sure'"),
        ('id = "hours"', "", "ZA.toml: rules[0] without id: Object missing required field `id`"),
        (": https://law.example", "", "ZA.toml: rules[0] hours: the source has no address"),
        ('hours = "08:00-20:00"', "", "ZA.toml: rules[0] hours: it has no hours, holidays, caps"),
        ('hours = "08', 'hour = "08', "rules[0] hours: Object contains unknown field `hour`"),
    ],
)
def test_a_faulty_pack_is_refused_with_file_and_rule(old: str, new: str, told: str) -> None:
    assert old in PACK
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - what it says is compared
        read_pack("ZA.toml", PACK.replace(old, new).encode())
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('caps = ["3 in 24h"]', "'3 in 24h' is not a cap"),
        ("purposes = []", "it is about no purpose"),
        ('subdivisions = ["GP", "XX"]', "subdivisions that the pack does not list: ['XX']"),
        ("effective_from = 2026-01-01\neffective_until = 2026-01-01", "it ends before it begins"),
    ],
)
def test_a_faulty_rule_is_refused(line: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"^ZA\.toml: rules\[0\] hours: ") as refused:
        read_pack("ZA.toml", f"{PACK}{line}\n".encode())
    assert told in str(refused.value)


def test_two_rules_of_one_name_are_refused() -> None:
    rule = PACK[PACK.index("[[rules]]") :]
    with pytest.raises(ValueError, match="two rules have one id"):
        read_pack("ZA.toml", (PACK + rule).encode())
