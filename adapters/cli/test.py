"""`nextbeat test`: the tests a workspace has of itself, played on a virtual clock."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from actors.trials import Report, play
from adapters.cli.output import write_json
from adapters.cli.trialtext import describe_report, locate, view_of
from adapters.files.workspaces import Source, read_workspace
from adapters.gateway.views import Decision
from engine.program.compile import compile_source
from engine.program.places import NOWHERE, Path as SourcePath, format_path, nearest_place
from engine.program.trials import Trial, read_trials

_INDENT = 6


class Problem(msgspec.Struct, frozen=True):
    """Something that is not as wanted: where it was wanted, and what there is instead."""

    path: str
    file: str
    line: int
    message: str
    decision: Decision | None = None


class Result(msgspec.Struct, frozen=True):
    """What came of one test, as `test --json` writes it."""

    name: str
    ok: bool
    file: str
    line: int
    seconds: float
    problems: list[Problem]
    decisions: list[Decision]


class Summary(msgspec.Struct, frozen=True):
    """What `test --json` writes."""

    ok: bool
    passed: int
    failed: int
    seconds: float
    tests: list[Result]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-k", "part", default="", metavar="NAME", help="Only tests with this in their name.")
@click.option("--json", "as_json", is_flag=True, help="Write what came of each test as JSON.")
def test(*, folder: Path, part: str, as_json: bool) -> None:
    """Play the tests of the workspace in FOLDER and compare what is decided with what they expect.

    Time is virtual: a test of a year takes milliseconds, and gives the same result every time.
    Exits with 0 when all tests pass and with 1 when one does not, or there is none.
    """
    source = read_workspace(folder)
    program = compile_source(source.raw, source.places)
    trials = _choose(read_trials(source.raw, source.places), part)
    if not trials:
        wanted = f" with {part!r} in its name" if part else ""
        raise click.ClickException(
            f"there is no test{wanted} in {folder}: write one under `tests:`"
        )
    begun_s = time.perf_counter()
    reports: list[tuple[Report, float]] = []
    for trial in trials:
        from_s = time.perf_counter()
        report = play(trial, program)
        reports.append((report, time.perf_counter() - from_s))
        if not as_json:
            _show(*reports[-1], source, width=max(len(one.name) for one in trials))
    passed_s = time.perf_counter() - begun_s
    failed = sum(not report.is_passed for report, _ in reports)
    if as_json:
        results = [_result(report, seconds, source) for report, seconds in reports]
        seconds = round(passed_s, 4)
        write_json(Summary(not failed, len(reports) - failed, failed, seconds, results))
    else:
        click.echo(_sum_up(len(reports), failed, passed_s))
    if failed:
        raise SystemExit(1)


def _choose(trials: Sequence[Trial], part: str) -> list[Trial]:
    return [trial for trial in trials if part.casefold() in trial.name.casefold()]


def _show(report: Report, seconds: float, source: Source, *, width: int) -> None:
    mark = click.style("ok  ", "green") if report.is_passed else click.style("FAIL", "red")
    place = "" if report.is_passed else f"  {locate(report.trial.path, source.places)}"
    click.echo(f"{mark}  {report.trial.name.ljust(width)}  {seconds * 1_000:6.1f} ms{place}")
    if report.is_passed:
        return
    for line in describe_report(report, source.places):
        color = {"-": "red", "+": "yellow"}.get(line[0])
        click.secho(" " * _INDENT + line, fg=color)
    click.echo()


def _sum_up(count: int, failed: int, seconds: float) -> str:
    told = f"{count - failed} passed in {seconds:.2f} s"
    return f"{failed} failed, {told}" if failed else told


def _result(report: Report, seconds: float, source: Source) -> Result:
    place = nearest_place(report.trial.path, source.places) or NOWHERE
    decided = [
        view_of(line.customer, line.decided) for line in report.lines if line.decided is not None
    ]
    problems = list(_problems(report, source))
    name, line = report.trial.name, place.key_line or place.line
    took_s = round(seconds, 4)
    return Result(name, report.is_passed, place.file, line, took_s, problems, decided)


def _problems(report: Report, source: Source) -> Iterator[Problem]:
    for line in report.lines:
        if line.is_right:
            continue
        path = report.trial.path if line.wanted is None else line.wanted.path
        told = "; ".join(
            f"{field}: wanted {wanted!r}, found {found!r}" for field, wanted, found in line.differs
        )
        message = told or ("nothing of this followed" if line.decided is None else "not expected")
        decision = None if line.decided is None else view_of(line.customer, line.decided)
        yield _problem(path, message, source, decision)
    for shortfall in report.shortfalls:
        yield _problem(shortfall.path, shortfall.message, source)


def _problem(
    path: SourcePath, message: str, source: Source, decision: Decision | None = None
) -> Problem:
    place = nearest_place(path, source.places) or NOWHERE
    return Problem(format_path(path), place.file, place.key_line or place.line, message, decision)
