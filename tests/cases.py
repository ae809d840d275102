"""Questions to the gates, for tests: a small workspace, a customer, an instant."""

from typing import Any

import msgspec

from engine.gates.case import Case
from engine.gates.order import Gate, Timing, blocks_at, next_eligible
from engine.gates.verdict import Block
from engine.instants import format_instant, parse_instant
from engine.ledger import Slot, enter_slot
from engine.place import find_place
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Cap, Program


def workspace(
    *,
    channel: dict[str, Any] | None = None,
    kind: dict[str, Any] | None = None,
    content: dict[str, str] | None = None,
    policies: dict[str, Any] | None = None,
    **changes: Any,
) -> Program:
    """Compile a workspace of one message `a` of the type `promo` on the channel `email`."""
    return compile_source({
        "workspace": "cases",
        "defaults": {"timezone": "UTC"},
        "consent": {"marketing": "opt_out"},
        "channels": {
            "email": {"adapter": "log", "identity": "email", **(channel or {})},
            "sms": {"adapter": "log", "identity": "phone"},
        },
        "message_types": {
            "promo": {"purpose": "marketing", "channels": ["email", "sms"], **(kind or {})},
            "note": {"purpose": "service", "channels": ["sms"]},
        },
        "messages": {
            "a": {"type": "promo", "content": {"default": {"body": "a", **(content or {})}}},
            "n": {"type": "note", "content": {"default": {"body": "n"}}},
        },
        "journeys": {
            "j": {"trigger": {"event": "A"}, "steps": [{"send": "a"}]},
            "k": {"trigger": {"event": "N"}, "steps": [{"send": "n"}]},
        },
        "policies": policies or {},
        **changes,
    })  # fmt: skip


def slot(
    at: int,
    channel: str = "email",
    *,
    message: str = "a",
    purpose: str = "marketing",
    kind: str = "promo",
    counts: bool = True,
) -> Slot:
    """Make a send."""
    return Slot(at, f"m{at}", message, channel, purpose, kind, counts)


def customer(*slots: Slot, **traits: Any) -> Profile:
    """Make a customer who got these messages, in whatever order they are given."""
    profile = Profile("u1", traits={"email": "a@example.com", **traits})
    for one in slots:
        enter_slot(profile.ledger, profile.tallies, one, one.at)
    return profile


def ask(
    program: Program, profile: Profile, now: int, *, message: str = "a", channel: str = "email"
) -> Case:
    """Put the question whether a message may go to a customer on a channel."""
    return Case(
        profile,
        program,
        program.messages[message],
        program.channels[channel],
        place=find_place(profile, program),
        now=now,
    )


def blocks(program: Program, profile: Profile, at: str, *, channel: str = "email") -> list[Block]:
    """List what stands in the way of message `a` at an instant."""
    now = parse_instant(at)
    return blocks_at(ask(program, profile, now, channel=channel), now)


def find(case: Case, at: int, *checks: str) -> Block | None:
    """Give the first block at an instant that is by one of these checks."""
    return next((block for block in blocks_at(case, at) if block.check in checks), None)


def solve(program: Program, profile: Profile, at: str, *, channel: str = "email") -> Timing:
    """Find when message `a` may go."""
    now = parse_instant(at)
    return next_eligible(ask(program, profile, now, channel=channel), now)


def opens(program: Program, profile: Profile, at: str, *, channel: str = "email") -> str:
    """Tell when message `a` may go, and which rule opens last: `INSTANT after CHECK RULE`."""
    timing = solve(program, profile, at, channel=channel)
    when = "never" if timing.at is None else format_instant(timing.at)
    return when if timing.last is None else f"{when} after {timing.last.check} {timing.last.rule}"


def with_caps(program: Program, *caps: Cap, channel: str = "email") -> Program:
    """Give a channel other caps than its workspace wrote."""
    changed = msgspec.structs.replace(program.channels[channel], caps=caps)
    return msgspec.structs.replace(program, channels={**program.channels, channel: changed})


def found_by(gate: Gate, case: Case, at: int) -> list[Block]:
    """Give what one gate finds at an instant."""
    found: list[Block] = []
    gate(case, at, found)
    return found
