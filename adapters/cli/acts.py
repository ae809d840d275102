"""`nextbeat acts`: what was done here by people with the right to do so, and by whom."""

from pathlib import Path

import click

from adapters.cli.output import show_table, write_json
from adapters.cli.sentences import read_instant
from adapters.cli.source import (
    ActsWanted,
    limit_option,
    open_source,
    period_options,
    source_options,
)

_LIMIT = 50
_LIMIT_MAX = 100_000


@click.command()
@source_options
@click.option("--who", default="", help="Only acts of the key of this name.")
@click.option("--act", default="", help="Only acts of this kind, like `exported`.")
@click.option("--subject", default="", help="Only acts on this customer, item or version.")
@period_options
@limit_option(_LIMIT, _LIMIT_MAX, "How many at most, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Write the acts as JSON.")
def acts(  # noqa: PLR0913 - one argument for each option
    *,
    data: Path | None,
    url: str,
    who: str,
    act: str,
    subject: str,
    since_at: int | None,
    until_at: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """List administrative acts, newest first: exports, erasures, merges, changes of the workspace.

    Reading is not an act. An export is written down before anything leaves, anything else when it
    is done.
    """
    wanted = ActsWanted(who, act, subject, since_at, until_at, limit)
    found = open_source(data, url).acts(wanted)
    if as_json:
        write_json(found)
        return
    if not found:
        click.echo("no administrative act fits")
        return
    rows = [
        (str(one.number), read_instant(one.at), one.who, one.act, one.subject, one.detail)
        for one in found
    ]
    show_table(("number", "at", "who", "act", "subject", "detail"), rows)
