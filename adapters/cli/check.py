"""`nextbeat check`: is a workspace sound? Every fault with file, line, path and a suggestion."""

from pathlib import Path

import click
import msgspec

from adapters.cli.output import show_table, write_json
from adapters.files.workspaces import load_workspace, read_workspace
from engine.errors import Problem, ProgramError
from engine.program.doubts import find_doubts
from engine.program.program import Program


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `check --json` writes."""

    ok: bool
    workspace: str = ""
    program: str = ""
    problems: list[Problem] = []
    warnings: list[Problem] = []


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--strict", is_flag=True, help="Exit with 1 when there are warnings.")
@click.option("--json", "as_json", is_flag=True, help="Write the verdict as JSON.")
def check(*, folder: Path, strict: bool, as_json: bool) -> None:
    """Check the workspace in FOLDER and list what is wrong with it.

    A warning is something that surely can't be meant, but does no harm to what else is there. Exits
    with 0 when there are no problems, warnings or not, and with 1 when there are.
    """
    try:
        program = load_workspace(folder)
    except ProgramError as error:
        _show_problems(folder, error.problems, as_json=as_json)
        raise SystemExit(1) from None
    source = read_workspace(folder)
    warnings = find_doubts(source.raw, source.places, program)
    if as_json:
        ok = not (strict and warnings)
        name, version = program.name, program.version
        write_json(Verdict(ok=ok, workspace=name, program=version, warnings=warnings))
    else:
        _show_warnings(warnings)
        _show_program(program, warnings)
    if strict and warnings:
        raise SystemExit(1)


def _show_warnings(warnings: list[Problem]) -> None:
    for warning in warnings:
        place = f"{warning.file}:{warning.line}:{warning.column}: " if warning.file else ""
        hint = f" ({warning.hint})" if warning.hint else ""
        click.echo(f"{place}warning: {warning.path}: {warning.message}{hint}")
    if warnings:
        click.echo()


def _show_problems(folder: Path, problems: list[Problem], *, as_json: bool) -> None:
    if as_json:
        write_json(Verdict(ok=False, problems=problems))
        return
    for problem in problems:
        click.echo(str(problem))
    click.echo(f"\n{len(problems)} problem{'s' * (len(problems) != 1)} in {folder}")


def _show_program(program: Program, warnings: list[Problem]) -> None:
    count = len(warnings)
    found = f"no problems, {count} warning{'s' * (count != 1)}" if count else "no problems"
    click.echo(f"{program.name}: {found} ({program.version})\n")
    parts = {
        "channels": program.channels,
        "message types": program.types,
        "messages": program.messages,
        "segments": program.membership.segments,
        "journeys": program.journeys,
    }
    rows = [(part, str(len(names)), ", ".join(names)) for part, names in parts.items() if names]
    show_table(("what", "count", "names"), rows)
