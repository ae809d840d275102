"""The arms of splits that a test of a workspace chooses, so that each of them can be tried.

Called by `trials`; `actors.trials` plays a test with the program that `choose_arms` gives.
"""

from collections.abc import Mapping

import msgspec

from engine.program.faults import Faults, enumerate_names, quote, suggest
from engine.program.journey import Instruction, Journey, Op
from engine.program.model import WorkspaceSpec
from engine.program.places import Path
from engine.program.program import Program
from engine.program.trialmodel import TrialSpec
from engine.program.trialsteps import Asking, Sought, find_step, list_steps

_SPLITS = Sought(
    lambda step: bool(step.split),
    does="shares people out",
    does_not="has no arms",
    hint="only a `split` step has",
)


def read_arms(
    trial: TrialSpec, workspace: WorkspaceSpec, path: Path, faults: Faults
) -> dict[Asking, str]:
    """Read which arm everybody goes into, by step, noting what is wrong."""
    arms: dict[Asking, str] = {}
    if not trial.arms:
        return arms
    known = list_steps(workspace)
    for name, arm in trial.arms.items():
        where = (*path, "arms", name)
        asking = find_step(name, known, _SPLITS, where, faults)
        if asking is None:
            continue
        split = known[asking].step.split
        if arm not in split:
            hint = suggest(arm, split) or f"arms: {enumerate_names(split)}"
            faults.add(where, f"unknown arm {quote(arm)}", hint)
        if asking in arms:
            message = f"{quote('/'.join(asking))} has its arm already"
            faults.add(where, message, "leave one of them out", at_key=True)
        arms[asking] = arm
    return arms


def choose_arms(program: Program, arms: Mapping[Asking, str]) -> Program:
    """Give the program with which everybody goes into these arms."""
    if not arms:
        return program
    journeys = {name: _choose(journey, arms) for name, journey in program.journeys.items()}
    return msgspec.structs.replace(program, journeys=journeys)


def _choose(journey: Journey, arms: Mapping[Asking, str]) -> Journey:
    code = tuple(_settle(one, arms.get((journey.name, one.step))) for one in journey.code)
    return msgspec.structs.replace(journey, code=code)


def _settle(instruction: Instruction, arm: str | None) -> Instruction:
    if arm is None or instruction.op is not Op.SPLIT:
        return instruction
    return msgspec.structs.replace(instruction, weights=((arm, 1.0),))
