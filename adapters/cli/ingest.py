"""`nextbeat ingest`: load a file of events, as history or as if they happened now."""

from pathlib import Path

import click
import uvloop

from adapters.app import open_workspace
from adapters.cli.output import show_load, write_json
from adapters.ingest import STDIN, Loaded, Rejected, load_file
from adapters.telemetry.logs import configure

_REJECTED_SHOWN_MAX = 20


@click.command()
@click.argument(
    "events", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option(
    "--workspace",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with the workspace files.",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The data folder to load into; no server may be running on it.",
)
@click.option("--live", is_flag=True, help="Decide and send as if the events came just now.")
@click.option("--from-start", is_flag=True, help="Load all of it again, not only what is missing.")
@click.option("--json", "as_json", is_flag=True, help="Write the summary as JSON.")
def ingest(
    *, events: Path, workspace: Path, data: Path, live: bool, from_start: bool, as_json: bool
) -> None:
    """Load EVENTS, a file with one call in Segment's form a line, plain or gzip; - reads a pipe.

    What is loaded is history: it makes profiles, counts and consent, but starts no journeys and
    sends nothing. Run it again after it was stopped, or after the file has grown: it goes on where
    it ended. Lines that are not understood are listed, and kept in quarantine.
    """
    configure("warning", json=False)
    loaded_workspace = open_workspace(workspace)
    with show_load("loading") as progress:
        loaded = uvloop.run(
            load_file(
                loaded_workspace,
                data,
                events,
                progress,
                is_history=not live,
                from_start=from_start,
            )
        )
    if as_json:
        write_json(loaded)
    else:
        _show_summary(loaded, events)
    _show_rejected(loaded.rejected, loaded.rejected_count)
    if loaded.rejected_count or not loaded.is_complete:
        raise SystemExit(1)


def _show_summary(loaded: Loaded, events: Path) -> None:
    if loaded.skipped_lines:
        click.echo(f"{loaded.skipped_lines:,} lines were loaded before")
    rate = f", {loaded.events / loaded.seconds:,.0f}/s" if loaded.seconds else ""
    click.echo(
        f"{loaded.events:,} events stored, {loaded.duplicates:,} duplicates, "
        f"{loaded.rejected_count:,} not understood, in {loaded.seconds:.1f} s{rate}"
    )
    if not loaded.is_complete:
        again = "" if events == STDIN else ": run the same command to go on"
        click.echo(f"stopped before the end{again}", err=True)


def _show_rejected(rejected: list[Rejected], count: int) -> None:
    if not count:
        return
    click.echo(f"\n{count:,} lines were not understood and are in quarantine:", err=True)
    for one in rejected[:_REJECTED_SHOWN_MAX]:
        click.echo(f"  line {one.line}: {one.path}: {one.message} ({one.code})", err=True)
    if count > _REJECTED_SHOWN_MAX:
        more = count - _REJECTED_SHOWN_MAX
        click.echo(f"  and {more:,} more: nextbeat quarantine list", err=True)
