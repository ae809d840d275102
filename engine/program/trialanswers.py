"""What services answer in a test of a workspace: which step's call, with what, and how much later.

Called by `trials`; `actors.trials` gives the answers while a test is played.
"""

from typing import Any

import msgspec
from msgspec import UNSET

from engine.instants import parse_duration
from engine.limits import CALL_ANSWER_BYTES_MAX
from engine.program.faults import Faults, quote
from engine.program.model import WorkspaceSpec
from engine.program.nesting import Placed
from engine.program.places import Path
from engine.program.trialmodel import AnswerSpec, TrialSpec
from engine.program.trialsteps import Asking, Sought, find_step, list_steps

_CALLS = Sought(
    lambda step: step.webhook is not UNSET,
    does="makes a call",
    does_not="makes no call: there is nothing to answer",
    hint="only a `webhook` step does",
)


class Saying(msgspec.Struct, frozen=True):
    """What a service answers each time a step calls it, and how long that takes."""

    status: int
    body: Any
    after_ms: int


def read_answers(
    trial: TrialSpec, workspace: WorkspaceSpec, path: Path, faults: Faults
) -> dict[Asking, Saying | None]:
    """Read what is answered, by step, noting what is wrong. None: the call times out."""
    answers: dict[Asking, Saying | None] = {}
    if not trial.answers:
        return answers
    known = list_steps(workspace)
    for name, said in trial.answers.items():
        where = (*path, "answers", name)
        asking = find_step(name, known, _CALLS, where, faults)
        if asking is None:
            continue
        if asking in answers:
            message = f"{quote('/'.join(asking))} has its answer already"
            faults.add(where, message, "leave one of them out", at_key=True)
        answers[asking] = None
        if isinstance(said, AnswerSpec):
            answers[asking] = _read(said, known[asking], where, faults)
    return answers


def _read(said: AnswerSpec, placed: Placed, path: Path, faults: Faults) -> Saying:
    after_ms = 0
    if said.after is not UNSET:
        try:
            after_ms = parse_duration(said.after)
        except ValueError:
            hint = "write a number and a unit: 500ms, 2s, 1m"
            faults.add((*path, "after"), f"{quote(said.after)} is not a duration", hint)
    is_kept = bool(placed.step.into) and said.is_good
    if is_kept and said.body is UNSET:
        message = "an answer without a body, to a step that keeps it with `into`"
        faults.add(path, message, "write `body:`, or a `status` that is no success", at_key=True)
    body = None if said.body is UNSET else said.body
    # As JSON, since that is what a service answers.
    text = msgspec.json.encode(body)
    if is_kept and len(text) > CALL_ANSWER_BYTES_MAX:
        message = f"this is longer than the {CALL_ANSWER_BYTES_MAX} bytes a journey keeps"
        faults.add((*path, "body"), message, "make it shorter", at_key=True)
    return Saying(said.status, msgspec.json.decode(text) if is_kept else None, after_ms)
