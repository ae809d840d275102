"""What services answer in a test of a workspace: which step's call, with what, and how much later.

Called by `trials`; `actors.trials` gives the answers while a test is played.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from engine.instants import parse_duration
from engine.limits import CALL_ANSWER_BYTES_MAX
from engine.program.faults import Faults, enumerate_names, quote, suggest
from engine.program.model import WorkspaceSpec
from engine.program.nesting import Placed, walk_journeys
from engine.program.places import Path
from engine.program.trialmodel import AnswerSpec, TrialSpec

Asking = tuple[str, str]  # a journey, and a step of it that makes a call


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
    known = {(str(one.path[1]), one.name): one for one in walk_journeys(workspace.journeys)}
    for name, said in trial.answers.items():
        where = (*path, "answers", name)
        asking = _find(name, known, where, faults)
        if asking is None:
            continue
        if asking in answers:
            message = f"{quote('/'.join(asking))} has its answer already"
            faults.add(where, message, "leave one of them out", at_key=True)
        answers[asking] = None
        if isinstance(said, AnswerSpec):
            answers[asking] = _read(said, known[asking], where, faults)
    return answers


def _find(name: str, known: Mapping[Asking, Placed], path: Path, faults: Faults) -> Asking | None:
    """Find the step that is meant by its id, or by its journey and its id."""
    meant = [one for one in known if name in (one[1], "/".join(one))]
    calling = [one for one in _calling(known) if one in meant]
    if len(calling) == 1:
        return calling[0]
    if calling:
        hint = f"write {enumerate_names(['/'.join(one) for one in calling])}"
        message = f"{quote(name)} makes a call in several journeys"
    elif meant:
        known_calls = enumerate_names(["/".join(one) for one in _calling(known)])
        hint = f"steps that do: {known_calls}" if known_calls else "only a `webhook` step does"
        message = f"{quote(name)} makes no call: there is nothing to answer"
    else:
        could_be = [text for one in _calling(known) for text in (one[1], "/".join(one))]
        hint = suggest(name, could_be, "steps that make a call")
        message = f"unknown step {quote(name)}"
    faults.add(path, message, hint, at_key=True)
    return None


def _calling(known: Mapping[Asking, Placed]) -> list[Asking]:
    return [one for one, placed in known.items() if placed.step.webhook is not UNSET]


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
