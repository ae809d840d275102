"""Every kind of fault a workspace can have, each with its file, line, path and hint.

The cases are in `faults.yaml`; in each the faulty line is marked with `#!`.
"""

from pathlib import Path
from typing import Any

import pytest

from adapters.files.yaml12 import read_yaml
from engine.errors import Problem, ProgramError
from engine.program.compile import compile_source

FILE = "shop/workspace.yaml"
SOUND = {
    "workspace": "workspace: shop",
    "channels": """
channels:
  email: {adapter: log, identity: email}
  sms: {adapter: log, identity: phone}
""",
    "message_types": """
message_types:
  promotional: {purpose: marketing, channels: [email]}
""",
    "messages": """
messages:
  hello: {type: promotional, content: {email: {body: hi}}}
""",
    "segments": """
segments:
  vip: profile.tier == "vip"
""",
    "journeys": """
journeys:
  greeting:
    trigger: {event: Signed Up}
    steps: [{send: hello}]
""",
}


def write(sections: dict[str, str]) -> str:
    return "\n".join(part.strip("\n") for part in {**SOUND, **sections}.values())


def find_faults(text: str) -> list[Problem]:
    document = read_yaml(text, FILE)
    assert document.readable, document.problems
    try:
        compile_source(document.value, document.places)
    except ProgramError as error:
        return [*document.problems, *error.problems]
    return document.problems


def steps(text: str) -> dict[str, str]:
    lines = "\n".join(f"      {line}" for line in text.strip("\n").splitlines())
    head = "journeys:\n  greeting:\n    trigger: {event: Signed Up}\n    steps:\n"
    return {"journeys": head + lines}


CASES: list[dict[str, Any]] = read_yaml(
    (Path(__file__).parent / "faults.yaml").read_text(), "faults.yaml"
).value


def test_the_workspace_that_the_cases_spoil_is_sound() -> None:
    assert find_faults(write({})) == []


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_a_fault_is_reported_with_file_line_path_and_hint(case: dict[str, Any]) -> None:
    replaced = read_yaml(case["sections"], FILE).value
    text = write({**dict.fromkeys(replaced, ""), "case": case["sections"]})
    line = next(n for n, line in enumerate(text.splitlines(), 1) if line.endswith("#!"))
    (fault,) = find_faults(text)
    assert fault.path == case["path"]
    assert case["message"] in fault.message
    assert case["hint"] in fault.hint
    assert bool(case["hint"]) == bool(fault.hint)
    assert (fault.file, fault.line) == (FILE, line)
    assert fault.column > 0


def test_the_cases_are_many_and_each_is_named_once() -> None:
    assert len({case["case"] for case in CASES}) == len(CASES) > 130


def test_all_faults_of_a_workspace_are_reported_in_the_order_of_its_lines() -> None:
    text = write({
        "defaults": "defaults: {timezone: Mars/Olympus}",
        "channels": "channels:\n  email: {adapter: log, windw: x}\n  sms: {adapter: pigeon}",
        **steps("- send: helo\n- wait: soon\n- exit: done\n- send: hello"),
    })  # fmt: skip
    faults = find_faults(text)
    assert [fault.path for fault in faults] == [
        "channels.email.windw",
        "channels.sms.adapter",
        "journeys.greeting.steps[0].send",
        "journeys.greeting.steps[1].wait",
        "journeys.greeting.steps[3]",
        "defaults.timezone",
    ]
    assert [fault.line for fault in faults] == sorted(fault.line for fault in faults)


def test_a_fault_is_reported_once_however_often_its_name_is_used() -> None:
    text = write({"channels": "channels:\n  email: {identity: email}\n  sms: {adapter: log}"})
    assert [fault.path for fault in find_faults(text)] == ["channels.email.adapter"]


def test_a_wait_between_journeys_that_start_each_other_makes_them_sound() -> None:
    looped = "journeys:\n  a:\n    trigger: {event: A}\n    steps: [{start: b}]\n"
    for pause in ("wait: 1h", "until: Mon 09:00", "wait_for: {event: B, up_to: 1h}"):
        assert (
            find_faults(
                write({"journeys": f"{looped}  b:\n    steps: [{{{pause}}}, {{start: a}}]"})
            )
            == []
        )


@pytest.mark.parametrize(
    "pause", ["until: profile.renewal_date", "wait_for: {segment: vip, up_to: 1h}"]
)
def test_a_wait_that_may_be_over_at_once_does_not_break_a_loop(pause: str) -> None:
    text = "journeys:\n  a:\n    trigger: {event: A}\n    steps:\n"
    (fault,) = find_faults(write({"journeys": f"{text}      - {pause}\n      - start: a"}))
    assert "journeys start each other without a wait" in fault.message


def test_what_someone_wrote_is_never_echoed_at_length() -> None:
    long = "x" * 5_000
    sections = {"channels": f"channels:\n  email: {{adapter: {long}}}\n  sms: {{adapter: log}}"}
    (fault,) = find_faults(write({**sections, "policies": ""}))
    assert len(fault.message) < 200


def test_deep_nesting_is_a_fault_and_not_a_crash() -> None:
    deep: dict[str, object] = {"exit": "end"}
    for _ in range(300):
        deep = {"if": "true", "then": [deep]}
    raw = {"workspace": "w", "journeys": {"j": {"trigger": {"event": "A"}, "steps": [deep]}}}
    with pytest.raises(ProgramError, match="nested too deeply"):
        compile_source(raw)


def test_a_workspace_of_values_that_are_not_plain_is_a_fault() -> None:
    circle: dict[str, object] = {}
    circle["defaults"] = circle
    for raw in ({"workspace": object()}, circle, {"workspace": "\ud800"}):
        with pytest.raises(ProgramError, match="plain values"):
            compile_source(raw)
