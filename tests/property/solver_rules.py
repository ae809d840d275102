"""The rules that may hold a message back, each as a question that can be asked of one instant.

For the solver's oracle: nothing of the engine is in here. A rule is written the way its meaning is
told, whatever it costs. It reads the workspace as the team wrote it, the packs of law as their
files say, and what was drawn of the customer.
"""

import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import date, datetime
from fractions import Fraction
from functools import cache
from importlib import resources
from math import ceil
from typing import Any, cast

import msgspec

from tests.property.solver_question import Send, World
from tests.property.solver_terms import (
    DAY,
    clock,
    duration,
    instant,
    is_holiday,
    minute_of_week,
    wall,
    week,
)

PACKS = resources.files("engine.program") / "packs"  # the files, wherever they are installed


class Rule(msgspec.Struct, frozen=True):
    """Something that may stand in the way, named by where it is written.

    `frees_at` are the moments at which it may let go; `edges` are minutes of the day on the
    customer's clock at which it may, every day. From `shuts_at` on it blocks whatever happens.
    """

    name: str
    blocks: Callable[[int], bool]
    frees_at: tuple[int, ...] = ()
    edges: frozenset[int] = frozenset()
    shuts_at: int | None = None


# Rules that hold or do not hold whatever the hour.


def consent(world: World) -> Iterator[Rule]:
    said = [
        one
        for one in world.consents
        if one.purpose in (world.purpose, "*") and one.channel in (world.channel, "*")
    ]
    if said:
        newest = max(one.at for one in said)
        given = all(one.status == "granted" for one in said if one.at == newest)
    else:
        given = needs_no_grant(world)
    if not given:
        yield always("consent", world)


def needs_no_grant(world: World) -> bool:
    """Say whether this purpose is opt-out where the customer is; of no known country is nowhere."""
    if world.purpose == "service":
        return True
    modes = world.workspace.get("consent", {}).get(world.purpose, "opt_in")
    if isinstance(modes, str):
        return bool(modes == "opt_out")
    default = modes.get("default", "opt_in")
    if not world.country:
        return {default, *modes.values()} == {"opt_out"}
    return bool(modes.get(world.country, default) == "opt_out")


def reach(world: World) -> Iterator[Rule]:
    identity = world.medium.get("identity", "")
    if identity and not world.traits.get(identity):
        yield always(f"channels.{world.channel}.identity", world)
    if not set(world.kind.get("requires", ())) <= set(world.medium.get("supports", ())):
        yield always(f"message_types.{world.kind_name}.requires", world)
    if not content(world):
        yield always(f"messages.{world.message}.content", world)


def content(world: World) -> dict[str, str]:
    written: dict[str, dict[str, str]] = world.workspace["messages"][world.message]["content"]
    return written.get(world.channel) or written.get("default") or {}


def always(name: str, world: World) -> Rule:
    return Rule(name, lambda _: True, shuts_at=world.now)


# What the customer did and wished.


def same_message(world: World) -> Iterator[Rule]:
    text = world.policies.get("same_message")
    if text is None or world.ignores("same_message"):
        return
    span = duration(text)
    times = [one.at for one in world.sends if one.message == world.message]
    if world.message in world.waiting:
        yield always("policies.same_message", world)
    elif times:
        yield Rule(
            "policies.same_message",
            lambda at: any(at - span < sent <= at for sent in times),
            tuple(sent + span for sent in times),
        )


def suppression(world: World) -> Iterator[Rule]:
    if world.ignores("suppression"):
        return
    for index, rule in enumerate(world.policies.get("suppress", ())):
        until = world.suppressed.get(rule["name"])
        if until is not None and world.concerns(rule):
            yield silent_until(f"policies.suppress[{index}]", until)


def silent_until(name: str, until: int) -> Rule:
    return Rule(name, lambda at: at < until, (until,))


def do_not_disturb(world: World) -> Iterator[Rule]:
    name, wish = "profile.do_not_disturb", world.traits.get("do_not_disturb")
    if wish in (None, False, "no") or world.ignores("suppression"):
        return
    if isinstance(wish, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", wish):
        day = datetime.fromisoformat(wish)
        begins = [instant(day.replace(tzinfo=clock(zone))) for zone in world.zones]
        yield silent_until(name, max(begins))
    elif isinstance(wish, str) and wish[:4].isdigit():
        yield silent_until(name, instant(datetime.fromisoformat(wish)))
    elif isinstance(wish, int) and wish is not True:
        yield silent_until(name, wish * 1_000)
    else:
        yield always(name, world)


def session(world: World) -> Iterator[Rule]:
    if world.medium.get("window") == "session" and not world.ignores("window"):
        name = f"channels.{world.channel}.window"
        lasts = duration(world.workspace.get("session", "30m"))
        closed_at = world.active_at + lasts + 1 if world.active_at else 0
        yield Rule(name, lambda at: at >= closed_at, shuts_at=closed_at)


def reply_window(world: World) -> Iterator[Rule]:
    text = world.medium.get("reply_window")
    if text is None or "template" in content(world):
        return
    wrote = [at for at in (world.replied_at, world.wrote_at) if at is not None]
    closed_at = max(wrote) + duration(text) if wrote else 0
    name = f"channels.{world.channel}.reply_window"
    yield Rule(name, lambda at: at >= closed_at, shuts_at=closed_at)


# How often.


def factor(world: World) -> Fraction:
    """Tell what engagement multiplies the workspace's caps by."""
    policy = world.policies.get("engagement")
    if policy is None or world.purpose not in policy.get("purposes", ["marketing"]):
        return Fraction(1)
    since = world.now - duration(policy.get("window", "30d"))
    recent = [one.engaged for one in world.sends if one.at > since]
    if len(recent) < policy.get("least", 5):
        return Fraction(1)
    rate = Fraction(sum(recent), len(recent))
    high, low = policy.get("high"), policy.get("low")
    if high is not None and rate >= Fraction(str(high["rate"])):
        return Fraction(str(high["factor"]))
    if low is not None and rate <= Fraction(str(low["rate"])):
        return Fraction(str(low["factor"]))
    return Fraction(1)


def caps(world: World) -> Iterator[Rule]:
    """Give the caps of the channel, of the type, and of the customer's own choice."""
    if world.ignores("caps"):
        return
    counted = [one for one in world.sends if one.counts]
    for index, text in enumerate(world.medium.get("caps", ())):
        here = [one for one in counted if one.channel == world.channel]
        name = f"channels.{world.channel}.caps[{index}]"
        yield cap(world, name, text, here, factor(world))
    for index, text in enumerate(world.kind.get("caps", ())):
        alike = [one for one in counted if one.kind == world.kind_name]
        name = f"message_types.{world.kind_name}.caps[{index}]"
        yield cap(world, name, text, alike, factor(world))
    own = world.traits.get("frequency_caps")
    if isinstance(own, str) and "/" in own:
        yield cap(world, "profile.frequency_caps", own, counted, Fraction(1))
    if isinstance(own, dict):
        text = cast("dict[str, str]", own).get(world.purpose, "")
        meant = [one for one in counted if one.purpose == world.purpose]
        name = f"profile.frequency_caps.{world.purpose}"
        if "/" in text:
            yield cap(world, name, text, meant, Fraction(1))


def shared_caps(world: World) -> Iterator[Rule]:
    if world.ignores("caps"):
        return
    for index, shared in enumerate(world.policies.get("caps", ())):
        channels, purposes = shared.get("channels"), shared.get("purposes")
        if not world.concerns(shared) or (channels and world.channel not in channels):
            continue
        meant = [
            one
            for one in world.sends
            if one.counts
            and (not channels or one.channel in channels)
            and (not purposes or one.purpose in purposes)
        ]
        name = f"policies.caps[{index}]"
        yield cap(world, name, shared["limit"], meant, factor(world))
        if "backoff" in world.policies and not world.ignores("backoff"):
            yield from backoff(world, shared["limit"], meant)


def cap(world: World, name: str, text: str, sends: list[Send], times: Fraction) -> Rule:
    """Make the rule that so many sends of these are the most in a window or a period."""
    limit, _, window = text.split()
    most = max(1, int(int(limit) * times))
    sent = [one.at for one in sends]
    if window == "session":
        is_full = sum(at >= world.session_at for at in sent) >= most
        return always(name, world) if is_full else Rule(name, lambda _: False)
    if window.startswith("calendar_"):
        period = PERIODS[window]
        found = [(zone, [period(wall(zone, at).date()) for at in sent]) for zone in world.zones]

        def is_used_up(at: int) -> bool:
            return any(
                periods.count(period(wall(zone, at).date())) >= most for zone, periods in found
            )

        return Rule(name, is_used_up, edges=frozenset([0]) if len(sent) >= most else frozenset())
    span = duration(window)
    return Rule(
        name,
        lambda at: sum(at - span < one <= at for one in sent) >= most,
        tuple(one + span for one in sent),
    )


PERIODS: dict[str, Callable[[date], object]] = {
    "calendar_day": lambda day: day,
    "calendar_week": lambda day: day.isocalendar()[:2],
    "calendar_month": lambda day: (day.year, day.month),
}


def backoff(world: World, text: str, sends: list[Send]) -> Iterator[Rule]:
    limit, _, window = text.split()
    if window in PERIODS or window == "session" or not sends:
        return
    spec = world.policies["backoff"]
    most = max(1, int(int(limit) * factor(world)))
    free = ceil(Fraction(str(spec.get("from", 0.5))) * most)
    gap, growth = duration(spec["gap"]), Fraction(str(spec.get("factor", 2)))
    span = duration(window)
    sent = sorted(one.at for one in sends)

    def is_too_soon(at: int) -> bool:
        used = [one for one in sent if at - span < one <= at]
        return len(used) >= free and at < used[-1] + gap * growth ** (len(used) - free)

    gaps = [min(400 * DAY, round(gap * growth**steps)) for steps in range(len(sent) + 1)]
    frees_at = [sent[-1] + one for one in gaps] + [one + span for one in sent]
    yield Rule("policies.backoff", is_too_soon, tuple(frees_at))


def cooldown(world: World) -> Iterator[Rule]:
    spec = world.policies.get("cooldown")
    if spec is None or world.ignores("cooldown") or not world.concerns(spec) or not world.sends:
        return
    until = max(one.at for one in world.sends) + duration(spec["gap"])
    yield silent_until("policies.cooldown", until)


# Which hours.


def hours(world: World) -> Iterator[Rule]:
    if world.ignores("window"):
        return
    for name, written in (
        (f"channels.{world.channel}.window", world.medium.get("window", "session")),
        (f"message_types.{world.kind_name}.window", world.kind.get("window", "session")),
    ):
        if written != "session":
            yield outside(world, name, written)
    quiet = world.traits.get("quiet_hours")
    if quiet and quiet != "whenever":
        inside, edges = week(quiet)
        yield Rule("profile.quiet_hours", lambda at: any_minute_in(world, at, inside), edges=edges)


def outside(world: World, name: str, written: Any) -> Rule:
    """Make the rule that it is open inside of these hours only, on every plausible clock."""
    inside, edges = week(written)

    def is_shut(at: int) -> bool:
        return any(minute_of_week(zone, at) not in inside for zone in world.zones)

    return Rule(name, is_shut, edges=edges)


def any_minute_in(world: World, at: int, minutes: frozenset[int]) -> bool:
    return any(minute_of_week(zone, at) in minutes for zone in world.zones)


# Which days.


def closed_days(world: World) -> Iterator[Rule]:
    if world.ignores("holidays"):
        return
    policy = world.policies.get("holidays")
    if policy is not None and world.concerns(policy):
        own = policy.get("calendar", "customer") == "customer"
        country = world.country if own else policy["calendar"]
        part = world.subdivision if own else ""
        but = excepted(policy)
        yield on_days(
            world,
            "policies.holidays",
            lambda day: day not in but and is_holiday(country, part, day),
        )
    for index, spec in enumerate(world.policies.get("blackouts", ())):
        if (
            world.concerns(spec)
            and world.channel in spec.get("channels", [world.channel])
            and world.country in spec.get("countries", [world.country])
        ):
            yield blackout(world, f"policies.blackouts[{index}]", spec)


def blackout(world: World, name: str, spec: dict[str, Any]) -> Rule:
    first = date.fromisoformat(spec["from"])
    last = date.fromisoformat(spec.get("to", spec["from"]))
    but = excepted(spec)
    return on_days(world, name, lambda day: first <= day <= last and day not in but)


def excepted(spec: dict[str, Any]) -> set[date]:
    return {date.fromisoformat(text) for text in spec.get("except", ())}


def on_days(world: World, name: str, is_closed: Callable[[date], bool]) -> Rule:
    return Rule(
        name,
        lambda at: any(is_closed(wall(zone, at).date()) for zone in world.zones),
        edges=frozenset([0]),
    )


# The law.


@cache
def packs() -> dict[str, dict[str, Any]]:
    texts = {one.name: one.read_text("utf-8") for one in PACKS.iterdir()}
    return {
        name.removesuffix(".toml"): tomllib.loads(text)
        for name, text in sorted(texts.items())
        if name.endswith(".toml")
    }


def law(world: World) -> Iterator[Rule]:
    """Give the rules of the packs the workspace names, for where the customer is.

    Whoever is in no known subdivision is held to the rules of all of them, where the pack says so.
    """
    identity = world.medium.get("identity")
    if world.ignores("regions") or not identity:
        return
    for region in world.policies.get("regions", ()):
        pack = packs()[region]
        if world.country not in pack["countries"]:
            continue
        everywhere = "when_unknown" in pack and world.subdivision not in pack["subdivisions"]
        for rule in pack["rules"]:
            parts = rule.get("subdivisions")
            if (
                (not parts or everywhere or world.subdivision in parts)
                and world.purpose in rule.get("purposes", ["marketing"])
                and identity in rule.get("reach", [identity])
            ):
                yield from law_rule(world, f"regions.{region}", rule)


def law_rule(world: World, name: str, rule: dict[str, Any]) -> Iterator[Rule]:
    """Give what one rule forbids, while it is in effect anywhere the customer may be."""
    begins = rule.get("effective_from", date.min)
    ends = rule.get("effective_until", date.max)

    def in_force(zone: str, at: int) -> bool:
        return bool(begins <= wall(zone, at).date() < ends)

    def in_any(at: int) -> bool:
        return any(in_force(zone, at) for zone in world.zones)

    if "hours" in rule:
        shut = outside(world, name, rule["hours"])
        blocks = _both(shut.blocks, in_any)
        yield msgspec.structs.replace(shut, blocks=blocks, edges=shut.edges | {0})
    if rule.get("holidays") == "closed":
        yield on_days(
            world,
            name,
            lambda day: begins <= day < ends and is_holiday(world.country, world.subdivision, day),
        )
    for text in rule.get("caps", ()):
        full = cap(world, name, text, meant_by(world, rule), Fraction(1))
        yield msgspec.structs.replace(
            full, blocks=_both(full.blocks, in_any), edges=full.edges | {0}
        )


def _both(one: Callable[[int], bool], other: Callable[[int], bool]) -> Callable[[int], bool]:
    return lambda at: one(at) and other(at)


def meant_by(world: World, rule: dict[str, Any]) -> list[Send]:
    """Give the sends a rule of law counts: what a workspace does not count, the law does."""
    identities = {
        name: spec.get("identity", "") for name, spec in world.workspace["channels"].items()
    }
    return [
        one
        for one in world.sends
        if one.purpose in rule.get("purposes", ["marketing"])
        and identities.get(one.channel)
        and identities[one.channel] in rule.get("reach", identities.values())
    ]


RULES: tuple[Callable[[World], Iterator[Rule]], ...] = (
    consent, reach, same_message, suppression, do_not_disturb, session, reply_window, caps,
    shared_caps, cooldown, hours, closed_days, law,
)  # fmt: skip
