"""Days on which nothing goes out: holidays of policy and of law, and blackouts."""

from typing import Any

import pytest

from engine.calendars import HOLIDAYS_VERSION
from engine.gates.order import blocks_at
from engine.instants import parse_instant
from engine.program.program import Program
from engine.reasons import Reason
from tests.cases import ask, blocks, customer, opens, solve, workspace

CAPETONIAN = customer(country="ZA", timezone="Africa/Johannesburg", phone="+27821234567")


def holidays(**keys: object) -> Program:
    return workspace(policies={"holidays": keys})


def blackout(**keys: object) -> Program:
    return workspace(policies={"blackouts": [{"name": "stocktaking", **keys}]})


# Public holidays.


def test_a_holiday_is_the_local_day_to_the_millisecond() -> None:
    ours = holidays()
    closed_at, open_at = "2026-08-08T22:00:00Z", "2026-08-10T22:00:00Z"  # the 9th and 10th
    assert blocks(ours, CAPETONIAN, "2026-08-08T21:59:59.999Z") == []
    (block,) = blocks(ours, CAPETONIAN, closed_at)
    assert (block.check, block.reason) == ("holidays", Reason.HOLIDAY)
    assert block.rule == "policies.holidays"
    assert block.version == f"holidays {HOLIDAYS_VERSION}"
    assert block.seen == "National Women's Day in ZA"
    assert blocks(ours, CAPETONIAN, "2026-08-10T21:59:59.999Z") != []
    assert blocks(ours, CAPETONIAN, open_at) == []


def test_the_day_on_which_a_holiday_is_observed_is_one() -> None:
    (block,) = blocks(holidays(), CAPETONIAN, "2026-08-10T10:00:00Z")  # the 9th was a Sunday
    assert block.seen == "National Women's Day (observed) in ZA"


@pytest.mark.parametrize(
    ("at", "opens_at"),
    [
        ("2026-08-09T10:00:00Z", "2026-08-10T22:00:00Z"),  # Women's Day and the day it is observed
        ("2026-12-25T10:00:00Z", "2026-12-26T22:00:00Z"),  # Christmas and Goodwill
        ("2026-04-03T10:00:00Z", "2026-04-03T22:00:00Z"),  # Good Friday; Saturday is none
    ],
)
def test_a_run_of_closed_days_is_one_block(at: str, opens_at: str) -> None:
    (block,) = blocks(holidays(), CAPETONIAN, at)
    assert block.until == parse_instant(opens_at)
    assert opens(holidays(), CAPETONIAN, at) == f"{opens_at} after holidays policies.holidays"


def test_holidays_are_those_of_where_the_customer_is() -> None:
    briton = customer(country="GB", timezone="Europe/London")
    assert blocks(holidays(), briton, "2026-08-10T10:00:00Z") == []
    assert blocks(holidays(), briton, "2026-08-31T10:00:00Z") == []  # in Scotland it is none
    englishman = customer(country="GB", state="ENG", timezone="Europe/London")
    assert blocks(holidays(), englishman, "2026-08-31T10:00:00Z") != []
    nobody = customer()
    assert blocks(holidays(), nobody, "2026-12-25T10:00:00Z") == []


@pytest.mark.parametrize(
    ("state", "at", "name"),
    [
        ("TX", "2026-03-02T18:00:00Z", "Texas Independence Day in US"),
        ("CA", "2026-03-31T18:00:00Z", "Cesar Chavez Day in US"),
        ("NY", "2026-03-02T18:00:00Z", ""),
        ("", "2026-03-02T18:00:00Z", ""),
        ("", "2026-07-04T18:00:00Z", "Independence Day in US"),
    ],
)
def test_a_subdivision_has_days_of_its_own(state: str, at: str, name: str) -> None:
    known = customer(country="US", state=state, timezone="America/Chicago")
    assert [block.seen for block in blocks(holidays(), known, at)] == ([name] if name else [])


def test_one_countrys_calendar_can_hold_for_everybody() -> None:
    german = holidays(calendar="DE")
    (block,) = blocks(german, CAPETONIAN, "2026-10-03T10:00:00Z")
    assert block.seen == "German Unity Day in DE"
    assert blocks(german, CAPETONIAN, "2026-08-10T10:00:00Z") == []
    assert block.until == parse_instant("2026-10-03T22:00:00Z")  # midnight of the customer's


def test_messages_go_on_a_holiday_that_is_excepted() -> None:
    ours = holidays(**{"except": ["2026-12-26"]})
    assert blocks(ours, CAPETONIAN, "2026-12-26T10:00:00Z") == []
    assert solve(ours, CAPETONIAN, "2026-12-25T10:00:00Z").at == parse_instant(
        "2026-12-25T22:00:00Z"
    )


def test_holidays_hold_for_their_purposes_and_not_for_types_above_them() -> None:
    at = "2026-12-25T10:00:00Z"
    assert blocks(holidays(purposes=["service"]), CAPETONIAN, at) == []
    assert blocks(holidays(purposes=["marketing"]), CAPETONIAN, at) != []
    policies: dict[str, Any] = {
        "holidays": {},
        "blackouts": [{"name": "rest", "from": "2026-12-24", "to": "2026-12-26"}],
    }
    above = workspace(kind={"ignores": ["holidays"]}, policies=policies)
    assert blocks(above, CAPETONIAN, at) == []


def test_a_holiday_is_one_in_every_zone_the_customer_may_be_in() -> None:
    american = customer(country="US", phone="+18005550123")
    at = parse_instant("2026-07-05T05:00:00Z")  # past midnight in New York, not in Honolulu
    case = ask(holidays(), american, at)
    found = blocks_at(case, at)
    assert found
    assert max(block.until or 0 for block in found) == parse_instant("2026-07-05T10:00:00Z")
    timing = solve(holidays(), american, "2026-07-05T05:00:00Z")
    assert timing.at == parse_instant("2026-07-05T10:00:00Z")


# Blackouts.


def test_a_blackout_is_from_its_first_day_through_its_last() -> None:
    ours = blackout(**{"from": "2026-12-30", "to": "2027-01-02"})
    assert blocks(ours, CAPETONIAN, "2026-12-29T21:59:59.999Z") == []
    (block,) = blocks(ours, CAPETONIAN, "2026-12-29T22:00:00Z")
    assert (block.check, block.reason) == ("blackout", Reason.BLACKOUT)
    assert (block.rule, block.seen) == ("policies.blackouts[0]", "stocktaking")
    assert block.until == parse_instant("2027-01-02T22:00:00Z")
    assert blocks(ours, CAPETONIAN, "2027-01-02T22:00:00Z") == []


def test_a_blackout_without_a_last_day_is_one_day() -> None:
    (block,) = blocks(blackout(**{"from": "2026-12-30"}), CAPETONIAN, "2026-12-30T10:00:00Z")
    assert block.until == parse_instant("2026-12-30T22:00:00Z")


def test_a_closed_day_to_which_clocks_return_closes_again() -> None:
    ours = workspace(policies={"blackouts": [{"name": "rest", "from": "2010-11-06"}]})
    islander = customer(timezone="America/St_Johns")  # at 00:01 of the 7th it was 23:01 of the 6th
    assert opens(ours, islander, "2010-11-07T01:00:00Z").startswith("2010-11-07T02:30:00Z after")
    assert opens(ours, islander, "2010-11-07T02:30:59Z") == "2010-11-07T02:30:59Z"
    assert opens(ours, islander, "2010-11-07T02:31:00Z").startswith("2010-11-07T03:30:00Z after")


def test_a_blackout_opens_for_its_exceptions() -> None:
    ours = blackout(**{"from": "2026-12-24", "to": "2026-12-28", "except": ["2026-12-26"]})
    (block,) = blocks(ours, CAPETONIAN, "2026-12-24T10:00:00Z")
    assert block.until == parse_instant("2026-12-25T22:00:00Z")
    assert blocks(ours, CAPETONIAN, "2026-12-26T10:00:00Z") == []
    assert blocks(ours, CAPETONIAN, "2026-12-27T10:00:00Z") != []


@pytest.mark.parametrize(
    ("keys", "is_closed"),
    [
        ({}, True),
        ({"channels": ["email"]}, True),
        ({"channels": ["sms"]}, False),
        ({"countries": ["ZA", "US"]}, True),
        ({"countries": ["US"]}, False),
        ({"purposes": ["marketing"]}, True),
        ({"purposes": ["service"]}, False),
        ({"channels": ["email"], "countries": ["US"]}, False),
    ],
)
def test_a_blackout_holds_for_what_it_names(keys: dict[str, Any], *, is_closed: bool) -> None:
    ours = blackout(**{"from": "2026-12-24"}, **keys)
    assert bool(blocks(ours, CAPETONIAN, "2026-12-24T10:00:00Z")) is is_closed


def test_of_two_rules_that_close_a_day_the_one_that_opens_last_is_the_reason() -> None:
    policies: dict[str, Any] = {
        "holidays": {},
        "blackouts": [{"name": "rest", "from": "2026-12-24", "to": "2026-12-25"}],
    }
    ours = workspace(policies=policies)
    timing = solve(ours, CAPETONIAN, "2026-12-25T10:00:00Z")
    assert [block.check for block in timing.blocks] == ["holidays", "blackout"]
    assert timing.last is not None
    assert timing.last.check == "holidays"
    assert timing.at == parse_instant("2026-12-26T22:00:00Z")


def test_blackouts_beyond_the_horizon_leave_no_instant() -> None:
    rest = [
        {"name": "first", "from": "2026-01-01", "to": "2026-12-31"},
        {"name": "second", "from": "2027-01-01", "to": "2027-12-31"},
    ]
    ours = workspace(policies={"blackouts": rest})
    timing = solve(ours, CAPETONIAN, "2026-03-02T10:00:00Z")
    assert timing.at is None
    assert timing.last is not None
    assert timing.last.reason is Reason.BLACKOUT


# The law's.


def test_the_laws_holidays_are_closed_with_its_version() -> None:
    law = workspace(policies={"regions": ["ZA"]})
    (block,) = blocks(law, CAPETONIAN, "2026-08-10T10:00:00Z")  # a Monday, at noon
    assert (block.check, block.reason) == ("region", Reason.REGION_RULE)
    assert block.rule == "regions.ZA.direct_marketing_hours"
    assert block.version.startswith("ZA/")
    assert block.seen == "National Women's Day (observed) in ZA"
    assert solve(law, CAPETONIAN, "2026-08-10T10:00:00Z").at == parse_instant(
        "2026-08-11T06:00:00Z"
    )


def test_days_and_hours_are_solved_together() -> None:
    # Thursday evening before Christmas: Friday and Saturday are holidays, Sunday is closed
    law = workspace(channel={"window": "10:00-12:00"}, policies={"regions": ["ZA"]})
    timing = solve(law, CAPETONIAN, "2026-12-24T19:00:00Z")
    assert timing.at == parse_instant("2026-12-28T08:00:00Z")


def test_an_exception_of_ours_does_not_open_a_day_the_law_closes() -> None:
    policies: dict[str, Any] = {"holidays": {"except": ["2026-08-10"]}, "regions": ["ZA"]}
    both = workspace(kind={"ignores": ["holidays"]}, policies=policies)
    assert [block.check for block in blocks(both, CAPETONIAN, "2026-08-10T10:00:00Z")] == ["region"]
