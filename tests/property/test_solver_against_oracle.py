"""The solver against an oracle that asks every rule at every instant that could matter.

Each test draws worlds with the rules of its own area, so that a failure names it. `make test` takes
the same cases every time; `make test-long` takes other ones each night and prints what reproduces a
failure.
"""

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, note, settings

from engine.eligibility import assess
from engine.reasons import Outcome
from tests.property.solver_engine import ask, profile_of, program_of, shown
from tests.property.solver_oracle import Oracle
from tests.property.solver_question import World
from tests.property.solver_worlds import worlds

pytestmark = pytest.mark.slow

_STANDING = re.compile(r"consent|channels\.\w+\.identity|message_types\.\w+\.requires|.*\.content")


def some(count: int) -> settings:
    """Take so many cases, the same ones every time."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def many(count: int) -> settings:
    """Take so many cases, others every time."""
    return settings(some(count), derandomize=False)


def check(world: World) -> None:
    """Hold the engine's answer against the oracle's."""
    note(shown(world))
    oracle, answer = Oracle(world), ask(world)
    if answer.at is not None:
        blocking = oracle.blocked_by(answer.at)
        assert not blocking, f"allowed at {answer.at}, where {blocking} stand in the way"
    earliest = oracle.earliest()
    assert answer.at == earliest, f"{answer.at} by {answer.last}, but {earliest} is the earliest"
    named, standing = {plain(one.rule) for one in answer.blocks}, {*oracle.blocked_by(world.now)}
    if any(_STANDING.fullmatch(name) for name in standing):
        assert named <= standing  # what stands whatever the hour is answered alone
        assert named
    else:
        assert named == standing
    event("never" if earliest is None else "now" if earliest == world.now else "later")


def plain(rule: str) -> str:
    """Name a rule as the oracle does, which tells no rules of one pack apart."""
    return ".".join(rule.split(".")[:2]) if rule.startswith("regions.") else rule


def check_reason(world: World) -> None:
    """Take away the rule that is given as the reason: the decision is another one."""
    note(shown(world))
    answer = ask(world)
    if answer.last is None:
        return
    rule = plain(answer.last.rule)
    if answer.at is not None:
        assert rule in Oracle(world).blocked_by(answer.at - 1)
    freed = without(world, rule)
    other = ask(freed).at
    assert other == Oracle(freed).earliest()
    flips = is_before(other, answer.at)
    assert flips or other == answer.at
    if answer.at is not None and not Oracle(freed).is_blocked(answer.at - 1):
        assert flips
    event("flips" if flips else "another rule lasts as long")


def is_before(at: int | None, other: int | None) -> bool:
    """Say whether an instant is the earlier of two; none at all is the latest."""
    return at is not None and (other is None or at < other)


def without(world: World, rule: str) -> World:
    """Give the world without one of its rules."""
    workspace, traits = deepcopy(world.workspace), deepcopy(world.traits)
    owner, _, path = rule.partition(".")
    if owner == "profile":
        traits.pop(path.partition(".")[0])
    elif owner == "regions":
        workspace["policies"]["regions"].remove(path)
    elif rule == "consent":
        workspace["consent"] = {"marketing": "opt_out"}
        return world._replace(workspace=workspace, consents=())
    elif rule.endswith(".identity"):
        traits[world.medium["identity"]] = "somewhere"
    elif rule.endswith(".content"):
        workspace["messages"][world.message]["content"]["default"] = {"body": "d"}
    else:
        _remove(workspace, rule)
    return world._replace(workspace=workspace, traits=traits)


def _remove(workspace: Any, rule: str) -> None:
    *keys, last = re.findall(r"\w+", rule)
    for key in keys:
        workspace = workspace[key]
    del workspace[int(last) if last.isdigit() else last]
    if last == "reply_window":
        workspace.pop("reply_event", None)  # alone it would be a fault


def check_again(world: World) -> None:
    """Decide the same at the instant that was answered: it is sent."""
    note(shown(world))
    answer = ask(world)
    if answer.at is None:
        return
    later = world._replace(now=answer.at)
    again, blocking = ask(later), Oracle(later).blocked_by(answer.at)
    assert (again.at == answer.at) == (not blocking)  # engagement may be another by then
    program = program_of(world)
    decided = assess(profile_of(world), program, program.messages[world.message], answer.at)
    sent = (decided.outcome, decided.channel) == (Outcome.SEND, world.channel)
    assert sent == (not blocking)


@given(worlds("hours"))
@some(900)
def test_hours_open_when_the_oracle_says(world: World) -> None:
    check(world)


@given(worlds("days"))
@some(500)
def test_closed_days_end_when_the_oracle_says(world: World) -> None:
    check(world)


@given(worlds("hours", "law", "days"))
@some(700)
def test_the_law_lets_go_when_the_oracle_says(world: World) -> None:
    check(world)


@given(worlds("caps", "law"))
@some(700)
def test_caps_have_room_when_the_oracle_says(world: World) -> None:
    check(world)


@given(worlds("caps", "gaps"))
@some(600)
def test_gaps_are_over_when_the_oracle_says(world: World) -> None:
    check(world)


@given(worlds("wishes", "presence", "gaps"))
@some(400)
def test_wishes_and_presence_hold_as_long_as_the_oracle_says(world: World) -> None:
    check(world)


@given(worlds("standing"))
@some(200)
def test_consent_and_reach_stand_when_the_oracle_says(world: World) -> None:
    check(world)


@given(worlds())
@some(600)
def test_all_rules_together_let_go_when_the_oracle_says(world: World) -> None:
    check(world)


@given(worlds())
@some(300)
def test_a_decision_is_another_without_the_rule_that_is_its_reason(world: World) -> None:
    check_reason(world)


@given(worlds())
@some(300)
def test_what_is_decided_again_at_the_answer_is_sent(world: World) -> None:
    check_again(world)


AREAS: dict[str, tuple[Callable[[World], None], tuple[str, ...], int]] = {
    "hours": (check, ("hours",), 40_000),
    "days": (check, ("days",), 20_000),
    "law": (check, ("hours", "law", "days"), 30_000),
    "caps": (check, ("caps", "law"), 40_000),
    "gaps": (check, ("caps", "gaps"), 30_000),
    "wishes": (check, ("wishes", "presence", "gaps"), 15_000),
    "standing": (check, ("standing",), 10_000),
    "all": (check, (), 40_000),
    "reason": (check_reason, (), 15_000),
    "again": (check_again, (), 10_000),
}


@pytest.mark.long
@pytest.mark.parametrize("area", AREAS)
def test_at_length(area: str) -> None:
    """Take a quarter of a million cases."""
    checked, topics, count = AREAS[area]
    many(count)(given(worlds(*topics))(checked))()
