"""Whatever workspaces follow each other: what was deleted sends nothing, and nobody gets stuck."""

from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings, strategies as st

from actors.rows import StayRow
from actors.stays import changed_stays, stays_of
from engine.effects import Send
from engine.events import Input
from tests.editions import Customer, Steps, edition

EVENTS = ("Go", "Pay", "Seen")
IDS = ("one", "two", "three", "four")
MESSAGES = ("a", "b", "c", "x", "y")  # the last two wait for the evening


_OTHERS = ("parallel", "decide")


def sends(draw: st.DrawFn, named: list[str]) -> dict[str, Any]:
    step: dict[str, Any] = {"send": draw(st.sampled_from(MESSAGES))}
    return named_step(draw, step, named)


def named_step(draw: st.DrawFn, step: dict[str, Any], named: list[str]) -> dict[str, Any]:
    """Give a step an id of its own, sometimes; no two have the same."""
    free = [one for one in IDS if one not in named]
    is_named = draw(st.booleans())
    if free and is_named:
        step["id"] = draw(st.sampled_from(free))
        named.append(step["id"])
    return step


def step_of(draw: st.DrawFn, named: list[str], depth: int) -> dict[str, Any]:
    kind = draw(st.sampled_from(("send", "send", "wait", "wait_for", "if", *_OTHERS)))
    if kind == "send":
        return sends(draw, named)
    if kind == "wait" or depth > 1:
        return named_step(draw, {"wait": draw(st.sampled_from(("1h", "5h", "20h")))}, named)
    if kind == "decide":
        messages = st.lists(st.sampled_from(MESSAGES), min_size=2, max_size=3, unique=True)
        return named_step(draw, {"decide": draw(messages)}, named)
    if kind == "parallel":
        branches = {one: steps_of(draw, named, depth + 1, branch=True) for one in ("p", "q")}
        join = draw(st.sampled_from(("all", "any")))
        return named_step(draw, {"parallel": branches, "join": join}, named)
    step: dict[str, Any] = {"if": draw(st.sampled_from(("true", "false")))}
    if kind == "wait_for":
        step = {"wait_for": {"event": "Pay", "up_to": draw(st.sampled_from(("2h", "9h")))}}
    named_step(draw, step, named)
    return {
        **step,
        "then": steps_of(draw, named, depth + 1),
        "else": steps_of(draw, named, depth + 1),
    }


def steps_of(draw: st.DrawFn, named: list[str], depth: int = 0, *, branch: bool = False) -> Steps:
    """Give some steps; those of a branch have names that nothing is led to."""
    names = [*IDS] if branch else named
    return [step_of(draw, names, depth) for _ in range(draw(st.integers(1, 3)))]


@st.composite
def workspaces(draw: st.DrawFn) -> dict[str, Any]:
    journeys: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(("main", "other")), unique=True)):
        named: list[str] = []
        steps = steps_of(draw, named)
        goals = st.sampled_from([*named, "steps[0]"] if "id" not in steps[0] else named)
        target = st.one_of(st.sampled_from(("exit", "stay")), goals)
        keys = st.sampled_from((*IDS, "steps[0]", "steps[1]", "*"))
        migrate = draw(st.dictionaries(keys, target, max_size=3)) if named else {}
        journeys[name] = {"trigger": {"event": "Go"}, "steps": steps, "migrate": migrate}
    return edition(journeys)


def walk(steps: Steps) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        yield from walk(step.get("then", []))
        yield from walk(step.get("else", []))
        for branch in step.get("parallel", {}).values():
            yield from walk(branch)


def is_there(source: dict[str, Any], sent: Send) -> bool:
    """Say whether a workspace as written has the step that a message came from."""
    journey = source["journeys"].get(sent.journey)
    if journey is None:
        return False
    known = [step for step in walk(journey["steps"]) if "send" in step or "decide" in step]
    if sent.step.startswith("steps["):
        return any(sent.message in (step.get("send"), *step.get("decide", ())) for step in known)
    return any(step.get("id") == sent.step for step in known)


class Watched(Customer):
    """A customer whose every input is looked at."""

    source: dict[str, Any]
    rows: dict[int, StayRow]

    def __init__(self, source: dict[str, Any]) -> None:
        self.source, self.rows = source, {}
        super().__init__(source)

    def use(self, source: dict[str, Any]) -> "Watched":
        self.source = source
        super().use(source)
        return self

    def fail_one(self, back: int) -> None:
        """Have a provider say that one of the latest messages can't be delivered."""
        self.fail(self.sends[-1 - back % len(self.sends)].message_id)

    def _take(self, given: Input) -> None:
        before = len(self.sends)
        super()._take(given)
        assert all(is_there(self.source, sent) for sent in self.sends[before:])
        profile = self.profile
        assert all(one.journey in self.source["journeys"] for one in profile.instances.values())
        for instance in profile.instances.values():
            branches = [one for one in profile.instances.values() if one.parent == instance.id]
            waits = instance.timer in profile.timers or instance.proposal in profile.pending
            waits = waits or bool(branches)
            assert waits, "nobody stands still for ever"
        for row in changed_stays("u1", profile, given, self.records):
            self.rows.pop(row.instance, None)
            if row.journey:
                self.rows[row.instance] = row
        assert sorted(self.rows.values()) == sorted(stays_of("u1", profile))


ACTS = st.one_of(
    st.tuples(st.just("use"), workspaces()),
    st.tuples(st.just("track"), st.sampled_from(EVENTS)),
    st.tuples(st.just("advance"), st.sampled_from((1, 4, 13))),
    st.tuples(st.just("review"), st.none()),
    st.tuples(st.just("fail"), st.integers(0, 5)),
)


@settings(max_examples=300)
@given(workspaces(), st.lists(ACTS, max_size=20))
def test_nothing_is_ever_sent_by_a_deleted_step(first: dict[str, Any], acts: list[Any]) -> None:
    customer = Watched(first)
    customer.track("Go")
    for act, what in acts:
        if act == "use":
            customer.use(what)
        elif act == "track":
            customer.track(what)
        elif act == "advance":
            customer.advance(what)
        elif act == "review":
            customer.review()
        elif customer.sends:
            customer.fail_one(what)
    customer.review()
