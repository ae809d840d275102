"""`nextbeat quarantine`: items that were not understood, why, and a second try for them."""

from pathlib import Path

import click

from adapters.cli.output import show_table, write_json
from adapters.cli.remote import Remote, path_of
from adapters.cli.sentences import read_instant
from adapters.cli.source import (
    limit_option,
    open_source,
    reveal_option,
    source_options,
    url_option,
)

_LIMIT = 50
_LIMIT_MAX = 100_000
_MESSAGE_WIDTH = 60


@click.group()
def quarantine() -> None:
    """Show items that were not understood, and take them in again.

    Nothing that was sent is lost: an item that can't be read is kept with the reason.
    """


@quarantine.command("list")
@source_options
@limit_option(_LIMIT, _LIMIT_MAX, "How many at most, newest first.")
@reveal_option
@click.option("--json", "as_json", is_flag=True, help="Write the items as JSON.")
def list_items(*, data: Path | None, url: str, limit: int, reveal: bool, as_json: bool) -> None:
    """List quarantined items, newest first."""
    items = open_source(data, url).quarantine(None, limit, is_masked=not reveal)
    if as_json:
        write_json(items)
        return
    if not items:
        click.echo("nothing is in quarantine")
        return
    rows = [
        (
            str(item.number),
            read_instant(item.received_at),
            item.source,
            item.code,
            item.path,
            item.message[:_MESSAGE_WIDTH],
        )
        for item in items
    ]
    show_table(("number", "received", "source", "code", "path", "what was expected"), rows)


@quarantine.command("show")
@click.argument("number", type=click.IntRange(min=1))
@source_options
@reveal_option
@click.option("--json", "as_json", is_flag=True, help="Write the item as JSON.")
def show_item(*, number: int, data: Path | None, url: str, reveal: bool, as_json: bool) -> None:
    """Show one item as it was sent, and what was wrong with it."""
    found = open_source(data, url).quarantine(number + 1, 1, is_masked=not reveal)
    item = next((one for one in found if one.number == number), None)
    if item is None:
        message = f"there is no item {number} in quarantine"
        raise click.ClickException(message)
    if as_json:
        write_json(item)
        return
    click.echo(f"item {item.number}, from {item.source}, received {read_instant(item.received_at)}")
    click.echo(f"{item.path}: {item.message} ({item.code})\n")
    click.echo(item.payload)
    if item.truncated:
        click.echo(f"… {item.payload_bytes} bytes in all")


@quarantine.command("replay")
@click.argument("numbers", nargs=-1, required=True, type=click.IntRange(min=1))
@url_option
def replay_items(*, numbers: tuple[int, ...], url: str) -> None:
    """Take items in again, by NUMBERS: after an upgrade they may be understood.

    An item that is understood leaves the quarantine in the same commit that stores its event.
    """
    remote = Remote(url)
    for number in numbers:
        remote.post(path_of("v1", "quarantine", str(number), "replay"))
        click.echo(f"item {number} was taken in")
