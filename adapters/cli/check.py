"""`nextbeat check`: is a workspace sound? Every fault with file, line, path and a suggestion."""

from pathlib import Path

import click
import msgspec

from adapters.cli.output import show_table, write_json
from adapters.files.workspaces import load_workspace
from engine.errors import Problem, ProgramError
from engine.program.program import Program


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `check --json` writes."""

    ok: bool
    workspace: str = ""
    program: str = ""
    problems: list[Problem] = []


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write the verdict as JSON.")
def check(*, folder: Path, as_json: bool) -> None:
    """Check the workspace in FOLDER and list what is wrong with it.

    Exits with 0 when there are no problems and with 1 when there are.
    """
    try:
        program = load_workspace(folder)
    except ProgramError as error:
        _show_problems(folder, error.problems, as_json=as_json)
        raise SystemExit(1) from None
    if as_json:
        write_json(Verdict(ok=True, workspace=program.name, program=program.version))
    else:
        _show_program(program)


def _show_problems(folder: Path, problems: list[Problem], *, as_json: bool) -> None:
    if as_json:
        write_json(Verdict(ok=False, problems=problems))
        return
    for problem in problems:
        click.echo(str(problem))
    click.echo(f"\n{len(problems)} problem{'s' * (len(problems) != 1)} in {folder}")


def _show_program(program: Program) -> None:
    click.echo(f"{program.name}: no problems ({program.version})\n")
    parts = {
        "channels": program.channels,
        "message types": program.types,
        "messages": program.messages,
        "segments": program.membership.segments,
        "journeys": program.journeys,
    }
    rows = [(part, str(len(names)), ", ".join(names)) for part, names in parts.items() if names]
    show_table(("what", "count", "names"), rows)
