"""What the engine is told of a drawn world, and what it answers."""

import msgspec

from engine.eligibility import next_eligible
from engine.events import ConsentStatement, ConsentStatus
from engine.gates.order import Timing
from engine.ledger import Slot, enter_slot
from engine.profile import History, Pending, Profile, Sent
from engine.program.compile import compile_source
from engine.program.program import Program
from tests.property.solver_question import REPLIED, Send, World
from tests.property.solver_terms import HOUR


def program_of(world: World) -> Program:
    return compile_source(world.workspace)


def profile_of(world: World) -> Profile:
    """Tell the engine of a customer what was drawn of them."""
    profile = Profile(
        "u1", traits=world.traits, context_timezone=world.device, suppressed=world.suppressed
    )
    profile.consents = {
        f"{one.purpose}/{one.channel}": ConsentStatement(
            one.purpose, one.channel, ConsentStatus(one.status), one.at
        )
        for one in world.consents
    }
    for number, send in enumerate(world.sends):
        _enter(profile, f"m{number}", send)
    for number, message in enumerate(world.waiting, start=1):
        profile.pending[number] = _pending(number, message, world)
    profile.session_at, profile.active_at = world.session_at, world.active_at
    if world.replied_at is not None:
        profile.engagement[f"{world.channel}/replied"] = [world.replied_at]
    if world.wrote_at is not None:
        profile.history[REPLIED] = History(1, world.wrote_at, world.wrote_at)
    return profile


def _enter(profile: Profile, message_id: str, send: Send) -> None:
    slot = Slot(
        send.at, message_id, send.message, send.channel, send.purpose, send.kind, send.counts
    )
    enter_slot(profile.ledger, profile.tallies, slot, send.at)
    profile.sends[message_id] = Sent(
        message_id=message_id,
        proposal=0,
        message=send.message,
        message_type=send.kind,
        channel=send.channel,
        at=send.at,
        journey="",
        instance=0,
        step="",
        proposed_at=send.at,
        expires_at=None,
        pinned="",
        failed=(),
        attempt=0,
        statuses=["delivered", "opened"] if send.engaged else ["delivered"],
    )


def _pending(number: int, message: str, world: World) -> Pending:
    return Pending(
        proposal=number,
        message=message,
        message_type=world.workspace["messages"][message]["type"],
        channel=world.channel,
        journey="",
        instance=0,
        step="",
        timer=0,
        next_eligible=world.now + HOUR,
        proposed_at=world.now,
        expires_at=None,
        pinned="",
        failed=(),
        attempt=0,
    )


def ask(world: World) -> Timing:
    """Ask the engine what was drawn."""
    program = program_of(world)
    return next_eligible(
        profile_of(world),
        program.messages[world.message],
        program.channels[world.channel],
        program,
        world.now,
        expires_at=world.expires_at,
    )


def shown(world: World) -> str:
    """Write a world so that it can be pasted into a test."""
    return msgspec.json.encode(world._asdict()).decode()
