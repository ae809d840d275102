"""`nextbeat timeline`: what happened with a customer, across channels, and what it changed."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from adapters.cli.customers import Stretch, read_timeline
from adapters.cli.output import write_json
from adapters.cli.source import limit_option, period_options, reveal_option, source_options
from adapters.gateway.parameters import KINDS
from adapters.gateway.views import ProfileChange, TimelineEntry
from engine.instants import parse_instant
from engine.localtime import zone

_LIMIT = 50
_LIMIT_MAX = 100_000
_INDENT = " " * 4
_TEXT_MAX = 60
_STATUSES = {"machine_opened": "opened by a machine: nobody has read it"}


@click.command()
@click.argument("customer")
@source_options
@click.option("--kind", type=click.Choice(KINDS), help="Only entries of, or about, this.")
@click.option(
    "--name", default="", help="Only this event, status, message, journey, segment or trait."
)
@click.option("--channel", default="", help="Only what concerns this channel.")
@period_options
@limit_option(_LIMIT, _LIMIT_MAX, "How many entries at most, the latest.")
@reveal_option
@click.option("--json", "as_json", is_flag=True, help="Write the entries as JSON, newest first.")
def timeline(  # noqa: PLR0913 - one argument for each option
    *,
    customer: str,
    data: Path | None,
    url: str,
    kind: str | None,
    name: str,
    channel: str,
    since_at: int | None,
    until_at: int | None,
    limit: int,
    reveal: bool,
    as_json: bool,
) -> None:
    """Tell what happened with CUSTOMER, in their local time, oldest first.

    CUSTOMER is a customer's id or an anonymous id.
    """
    stretch = Stretch(
        customer, kind or "", name, channel, since_at, until_at, limit, is_masked=not reveal
    )
    told = read_timeline(data, url, stretch)
    if as_json:
        write_json(told.entries)
        return
    if not told.entries:
        click.echo(f"nothing is known of {customer} that fits")
        return
    click.echo(f"{told.customer}, in the time of {told.timezone}\n")
    for entry in reversed(told.entries):  # a story is read from its beginning
        _show(entry, told.timezone)
    if len(told.entries) == limit:
        click.echo(f"Only the latest {limit} are shown; --limit shows more.")


def _show(entry: TimelineEntry, timezone: str) -> None:
    # No brackets: what stands in them on a terminal was hidden.
    channels = f" · {', '.join(entry.channels)}" if entry.channels else ""
    click.secho(f"{_local(entry.at, timezone)}  {entry.kind}  {entry.name}{channels}", bold=True)
    because = entry.input.get("because")  # of customers who were made one, or were not
    if because:
        click.echo(f"{_INDENT}because {because}")
    for line in (*_describe_records(entry), *map(_describe_change, entry.changes)):
        click.echo(f"{_INDENT}{line}")


def _local(at: str, timezone: str) -> str:
    """Write an instant as the customer's clock showed it."""
    place = zone(timezone)
    moment = datetime.fromtimestamp(parse_instant(at) / 1_000, place)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _describe_records(entry: TimelineEntry) -> Iterator[str]:
    """Say what was decided, and what became of a message."""
    for record in entry.records:
        if record["type"] == "decided":
            where = f" by {record['channel']}" if record["channel"] else ""
            yield f"{record['message']}: {record['outcome']}{where} ({record['reason']})"
        elif record["type"] == "receipt_noted":
            status = _STATUSES.get(record["status"], record["status"])
            yield f"message {record['message_id']} {status}"
        elif record["type"] == "reach_noted":
            why = f"{record['failure']} {record['code']}".rstrip()
            yield f"not reached on {record['channel']}: {why}"
        elif record["type"] == "called":
            where = record.get("refused") or f"{record['method']} {record['url']}"
            yield f"journey {record['journey']}, step {record['step']} called: {where:.200}"


def _describe_change(change: ProfileChange) -> str:
    """Say what is otherwise now, and what it was."""
    if change.of in ("journey", "segment"):
        return f"{change.of} {change.name}: {change.now}"
    was = "" if change.was is msgspec.UNSET else f"{_write(change.was)} → "
    return f"{change.of} {change.name}: {was}{_write(change.now)}"


def _write(value: Any) -> str:  # noqa: ANN401 - traits hold any JSON value
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…"
