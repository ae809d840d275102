"""`nextbeat replay`: decide over a file of events, with the time of the events as the clock."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import click

from adapters.cli.output import INSTANT, show_progress, show_table, write_json
from adapters.files.workspaces import load_workspace
from adapters.replay import Rejected, Shelf, Summary, read_shelf, run_replay
from engine.program.program import Program

_REJECTED_SHOWN_MAX = 20
_STDOUT = Path("-")


@click.command()
@click.argument("events", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--workspace",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with the workspace files.",
)
@click.option("--until", "until_at", type=INSTANT, help="Play until then; default: last event.")
@click.option(
    "--decisions",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write each decision to this file, one JSON object a line; - is standard output.",
)
@click.option(
    "--catalogue",
    "feeds",
    multiple=True,
    metavar="KIND=FILE",
    help="Tell events of the items in this file, CSV or NDJSON; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the summary as JSON.")
@click.option("--strict", is_flag=True, help="Exit with 1 when a line was not understood.")
def replay(  # noqa: PLR0913 - one argument for each option
    *,
    events: Path,
    workspace: Path,
    until_at: int | None,
    decisions: Path | None,
    feeds: tuple[str, ...],
    as_json: bool,
    strict: bool,
) -> None:
    """Decide over the events in EVENTS, a file with one JSON object a line.

    Events are taken in order of their timestamp, and timers fire at their exact instant between
    them. The same file and workspace give the same decisions, byte for byte. A line that is not
    understood is left out and named.
    """
    program = load_workspace(workspace)
    shelf = _read_feeds(feeds, program)
    with _open(decisions) as write, show_progress("deciding") as progress:
        summary = run_replay(
            events, program, until_at=until_at, write=write, progress=progress, shelf=shelf
        )
    # The summary must not mix with decisions that are being read from standard output.
    if decisions != _STDOUT:
        _show_summary(summary, decisions, as_json=as_json)
    _show_unlisted(program)
    _show_rejected(summary.rejected)
    if strict and summary.rejected:
        raise SystemExit(1)


def _read_feeds(feeds: tuple[str, ...], program: Program) -> Shelf:
    """Read the files of the catalogue. Items that can't be read are named, and left out."""
    shelf: Shelf = {}
    for given in feeds:
        kind, found, name = given.partition("=")
        join = program.joins.kind(kind)
        if not found or join is None:
            known = ", ".join(join.kind for join in program.joins.kinds)
            message = f"{given[:80]!r} is no KIND=FILE with one of these kinds: {known}"
            raise click.UsageError(message)
        for fault in read_shelf(join, Path(name), shelf):
            click.echo(f"{name}: line {fault.line}: {fault.path}: {fault.message}", err=True)
    return shelf


@contextmanager
def _open(decisions: Path | None) -> Generator[Callable[[bytes], object]]:
    """Give the function that takes each decision's line."""
    if decisions is None:
        yield len
    elif decisions == _STDOUT:
        yield sys.stdout.buffer.write
    else:
        with decisions.open("wb") as file:
            yield file.write


def _show_summary(summary: Summary, decisions: Path | None, *, as_json: bool) -> None:
    if as_json:
        write_json(summary)
        return
    total = sum(summary.outcomes.values())
    click.echo(f"{summary.events} events of {summary.customers} customers, {total} decisions")
    if summary.outcomes:
        ordered = sorted(summary.outcomes.items(), key=lambda item: (-item[1], item[0]))
        rows = [(*outcome.split(" ", 1), str(count)) for outcome, count in ordered]
        click.echo()
        show_table(("outcome", "reason", "count"), rows)
    if decisions is not None:
        click.echo(f"\neach decision is in {decisions}")


def _show_unlisted(program: Program) -> None:
    """Say that no address is looked up here: lists change, and what was on them then is unknown."""
    if program.registries:
        names = ", ".join(registry.name for registry in program.registries)
        message = (
            f"\na replay has no lists of opt-out registries ({names}): it sends nothing that needs "
            "one, though a server that has them would"
        )
        click.echo(message, err=True)


def _show_rejected(rejected: list[Rejected]) -> None:
    if not rejected:
        return
    click.echo(f"\n{len(rejected)} lines were not understood and left out:", err=True)
    for one in rejected[:_REJECTED_SHOWN_MAX]:
        click.echo(f"  line {one.line}: {one.path}: {one.message} ({one.code})", err=True)
    if len(rejected) > _REJECTED_SHOWN_MAX:
        click.echo(f"  and {len(rejected) - _REJECTED_SHOWN_MAX} more", err=True)
