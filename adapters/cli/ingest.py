"""`nextbeat ingest`: load a file of events, as history or as if they happened now."""

from pathlib import Path

import click
import uvloop

from adapters.app import open_workspace
from adapters.cli.output import show_load, write_json
from adapters.cli.upload import upload_file
from adapters.ingest import STDIN, Loaded, Rejected, load_file
from adapters.telemetry.logs import configure

_REJECTED_SHOWN_MAX = 20
_ONE_PLACE = "say where to: --workspace and --data, or --url"


@click.command()
@click.argument(
    "events", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option(
    "--workspace",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with the workspace files.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="The data folder to load into; no server may be running on it.",
)
@click.option("--url", help="The running server to load into, instead of a data folder.")
@click.option("--live", is_flag=True, help="Decide and send as if the events came just now.")
@click.option("--from-start", is_flag=True, help="Load all of it again, not only what is missing.")
@click.option("--json", "as_json", is_flag=True, help="Write the summary as JSON.")
def ingest(  # noqa: PLR0913 - one for each option
    *,
    events: Path,
    workspace: Path | None,
    data: Path | None,
    url: str | None,
    live: bool,
    from_start: bool,
    as_json: bool,
) -> None:
    """Load EVENTS, a file with one call in Segment's form a line, plain or gzip; - reads a pipe.

    What is loaded is history: it makes profiles, counts and consent, but starts no journeys and
    sends nothing. Run it again after it was stopped, or after the file has grown: it goes on where
    it ended. Lines that are not understood are listed, and kept in quarantine.

    A server's write key comes from the environment, NEXTBEAT_WRITE_KEYS.
    """
    configure("warning", json=False)
    if url is not None:
        if workspace is not None or data is not None:
            raise click.UsageError(_ONE_PLACE)
        with show_load("loading") as progress:
            loaded = upload_file(url, events, progress, is_history=not live, from_start=from_start)
    else:
        loaded = _load(workspace, data, events, is_history=not live, from_start=from_start)
    if as_json:
        write_json(loaded)
    else:
        _show_summary(loaded, events, is_remote=url is not None)
    _show_rejected(loaded.rejected, loaded.rejected_count, is_remote=url is not None)
    if loaded.rejected_count or not loaded.is_complete:
        raise SystemExit(1)


def _load(
    workspace: Path | None, data: Path | None, events: Path, *, is_history: bool, from_start: bool
) -> Loaded:
    if workspace is None or data is None:
        raise click.UsageError(_ONE_PLACE)
    opened = open_workspace(workspace)
    with show_load("loading") as progress:
        return uvloop.run(
            load_file(opened, data, events, progress, is_history=is_history, from_start=from_start)
        )


def _show_summary(loaded: Loaded, events: Path, *, is_remote: bool) -> None:
    if loaded.skipped_lines:
        click.echo(f"{loaded.skipped_lines:,} lines were loaded before")
    rate = f", {loaded.events / loaded.seconds:,.0f}/s" if loaded.seconds else ""
    # A server does not tell duplicates from others.
    doubled = "" if is_remote else f"{loaded.duplicates:,} duplicates, "
    click.echo(
        f"{loaded.events:,} events {'taken' if is_remote else 'stored'}, {doubled}"
        f"{loaded.rejected_count:,} not understood, in {loaded.seconds:.1f} s{rate}"
    )
    if not loaded.is_complete:
        again = "" if events == STDIN else ": run the same command to go on"
        click.echo(f"stopped before the end{again}", err=True)


def _show_rejected(rejected: list[Rejected], count: int, *, is_remote: bool) -> None:
    if not count:
        return
    where = "" if is_remote else " and are in quarantine"
    click.echo(f"\n{count:,} lines were not understood{where}:", err=True)
    for one in rejected[:_REJECTED_SHOWN_MAX]:
        click.echo(f"  line {one.line}: {one.path}: {one.message} ({one.code})", err=True)
    if count > _REJECTED_SHOWN_MAX:
        more = count - _REJECTED_SHOWN_MAX
        click.echo(f"  and {more:,} more: nextbeat quarantine list", err=True)
