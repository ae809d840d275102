"""The shared cases, in process: histories with the decisions they must lead to."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from actors.replay import Replay
from engine.instants import parse_instant
from engine.intake.normalise import normalise_line
from engine.program.compile import compile_source
from engine.transcript import decision_object

SHARED = Path(os.environ.get("NEXTBEAT_SHARED", Path(__file__).parents[2].parent / "shared"))
CASES = sorted((SHARED / "golden").glob("*.yaml"))


@pytest.mark.skipif(not CASES, reason="the shared cases are not here; set NEXTBEAT_SHARED")
@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_shared_case_is_decided_as_expected(file: Path) -> None:
    case: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    inputs = [normalise_line(msgspec.json.encode(event)) for event in case["events"]]
    inputs.sort(key=lambda given: given.at)
    until_at = parse_instant(case["until"]) if "until" in case else None
    replay = Replay(compile_source(case["workspace"]))
    found = [decision_object(*decision) for decision in replay.run(inputs, until_at)]
    wanted: list[dict[str, Any]] = case["expect"]
    shown = [
        {key: one.get(key) for key in expected}
        for one, expected in zip(found, wanted, strict=False)
    ]
    assert shown == wanted
    assert len(found) == len(wanted)
