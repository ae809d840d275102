"""`nextbeat outbox`: messages that did not arrive as far as we know, and why."""

from pathlib import Path

import click

from actors.letters import DEAD_STATES
from actors.rows import LetterQuery
from adapters.cli.output import show_table, write_json
from adapters.cli.sentences import read_instant
from adapters.cli.source import (
    limit_option,
    open_source,
    reveal_option,
    source_options,
)

_LIMIT = 50
_LIMIT_MAX = 100_000
_DETAIL_WIDTH = 60


@click.command()
@source_options
@click.option("--state", default="", type=click.Choice(("", *DEAD_STATES)), help="Only these.")
@click.option("--channel", default="", help="Only messages on this channel.")
@click.option("--customer", default="", help="Only messages to this customer.")
@limit_option(_LIMIT, _LIMIT_MAX, "How many at most, newest first.")
@reveal_option
@click.option("--json", "as_json", is_flag=True, help="Write the messages as JSON.")
def outbox(  # noqa: PLR0913 - one argument for each option
    *,
    data: Path | None,
    url: str,
    state: str,
    channel: str,
    customer: str,
    limit: int,
    reveal: bool,
    as_json: bool,
) -> None:
    """List dead letters, newest first: messages that failed, expired, or are in doubt.

    In doubt means that the provider may have taken it: we do not know. `nextbeat redeliver` has a
    message decided about once more.
    """
    wanted = LetterQuery(state=state, channel=channel, customer=customer, limit=limit)
    found = open_source(data, url).dead_letters(wanted, is_masked=not reveal)
    if as_json:
        write_json(found)
        return
    if not found:
        click.echo("no dead letter fits")
        return
    rows = [
        (
            one.message_id,
            "" if one.decided_at is None else read_instant(one.decided_at),
            one.customer,
            one.channel,
            one.state,
            one.code,
            one.detail[:_DETAIL_WIDTH],
        )
        for one in found
    ]
    show_table(("message", "decided", "customer", "channel", "state", "code", "why"), rows)
