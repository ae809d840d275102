"""The workspaces to begin with: sound, tested by themselves, and written whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import adapters.templates
from actors.trials import play
from adapters.cli.init import init, list_templates
from adapters.cli.trialtext import describe_report
from adapters.files.workspaces import Source, load_workspace, read_workspace
from engine.program.doubts import find_doubts
from engine.program.program import Program
from engine.program.trials import Trial, read_trials
from engine.reasons import Outcome

ROOT = Path(adapters.templates.__path__[0])
NAMES = [template.name for template in list_templates()]
LIBRARY = [name for name in NAMES if name != "minimal"]


def load(name: str) -> tuple[Program, Source]:
    return load_workspace(ROOT / name), read_workspace(ROOT / name)


def every_trial() -> Iterator[tuple[str, str]]:
    for name in NAMES:
        source = read_workspace(ROOT / name)
        yield from ((name, trial.name) for trial in read_trials(source.raw, source.places))


def trials_of(name: str) -> dict[str, Trial]:
    source = read_workspace(ROOT / name)
    return {trial.name: trial for trial in read_trials(source.raw, source.places)}


@pytest.mark.parametrize(("name", "trial"), list(every_trial()))
def test_a_template_does_what_its_tests_say(name: str, trial: str) -> None:
    program, source = load(name)
    report = play(trials_of(name)[trial], program)
    assert report.is_passed, "\n".join(describe_report(report, source.places))


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_not_doubted(name: str) -> None:
    program, source = load(name)
    assert find_doubts(source.raw, source.places, program) == []


@pytest.mark.parametrize("name", NAMES)
def test_each_message_of_a_template_goes_out_in_one_of_its_tests(name: str) -> None:
    program, _ = load(name)
    sent = {
        line.decided.message
        for trial in trials_of(name).values()
        for line in play(trial, program).lines
        if line.decided is not None and line.decided.outcome in (Outcome.SEND, Outcome.SUBSTITUTE)
    }
    assert sent == set(program.messages)


@pytest.mark.parametrize("name", LIBRARY)
def test_a_template_has_something_to_say_on_two_channels_or_more(name: str) -> None:
    program, _ = load(name)
    assert len({channel for one in program.messages.values() for channel in one.content}) > 1
    assert any(len(kind.channels) > 1 for kind in program.types.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_named_as_its_folder_and_says_what_it_is(name: str) -> None:
    program, _ = load(name)
    assert program.name == name
    about = next(one.about for one in list_templates() if one.name == name)
    assert 20 < len(about) < 100
    assert about.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_written_whole(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    done = CliRunner().invoke(init, [str(folder), "--template", name])
    assert done.exit_code == 0, done.output
    written = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert written == {
        path.relative_to(ROOT / name) for path in (ROOT / name).rglob("*") if path.is_file()
    }
    assert load_workspace(folder).version == load_workspace(ROOT / name).version


def test_the_demo_does_what_its_tests_say() -> None:
    folder = ROOT.parent / "demo" / "workspace"
    program, source = load_workspace(folder), read_workspace(folder)
    reports = [play(trial, program) for trial in read_trials(source.raw, source.places)]
    assert len(reports) > 2
    assert [line for one in reports for line in describe_report(one, source.places)] == []


def test_a_file_that_is_there_keeps_all_of_a_template_away(tmp_path: Path) -> None:
    mine = tmp_path / "tests" / "cart_recovery.yaml"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    done = CliRunner().invoke(init, [str(tmp_path), "--template", "cart-recovery"])
    assert done.exit_code == 1
    assert "tests/cart_recovery.yaml is there already" in done.output
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text(encoding="utf-8") == "mine"


def test_there_is_a_library() -> None:
    assert len(LIBRARY) >= 15
    assert sorted(NAMES) == NAMES


@pytest.mark.parametrize("section", ["journeys", "messages", "tests"])
def test_two_templates_can_be_put_together(section: str) -> None:
    names = [one for name in LIBRARY for one in read_workspace(ROOT / name).raw[section]]
    assert sorted(names) == sorted(set(names))
    files = [
        path.relative_to(ROOT / name)
        for name in LIBRARY
        for path in (ROOT / name).rglob("*")
        if path.is_file() and path.name != "workspace.yaml"
    ]
    assert sorted(files) == sorted(set(files))
