"""`nextbeat explain`: why this person did, or didn't, get this message.

Asks a running Nextbeat, or reads the data folder of one that is stopped or running; both give the
same decisions.
"""

from pathlib import Path

import click

from adapters.cli.output import INSTANT, show_table, write_json
from adapters.cli.sentences import (
    describe_cause,
    describe_outcome,
    describe_reason,
    describe_rules,
    read_instant,
)
from adapters.cli.source import Wanted, open_source, source_options
from adapters.gateway.views import Decision
from engine.reasons import Outcome, Reason

_LIMIT = 10
_LIMIT_MAX = 10_000
_INDENT = 4


@click.command()
@click.argument("customer")
@source_options
@click.option("--message", default="", help="Only decisions about this message.")
@click.option("--journey", default="", help="Only decisions of this journey.")
@click.option(
    "--outcome",
    type=click.Choice([outcome.value for outcome in Outcome]),
    help="Only this outcome.",
)
@click.option(
    "--reason",
    type=click.Choice([reason.value for reason in Reason]),
    help="Only this reason.",
)
@click.option("--since", "since_at", type=INSTANT, help="Only from this instant on.")
@click.option("--until", "until_at", type=INSTANT, help="Only up to this instant.")
@click.option(
    "--limit",
    default=_LIMIT,
    show_default=True,
    type=click.IntRange(1, _LIMIT_MAX),
    help="How many decisions at most, newest first.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the decisions as JSON.")
def explain(  # noqa: PLR0913 - one argument for each option
    *,
    customer: str,
    data: Path | None,
    url: str,
    message: str,
    journey: str,
    outcome: str | None,
    reason: str | None,
    since_at: int | None,
    until_at: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """Tell what was decided about CUSTOMER, when, why, by which rule, and until when.

    CUSTOMER is a customer's id, an anonymous id, or the id of one decision (d_...).
    """
    wanted = Wanted(
        customer, message, journey, outcome or "", reason or "", since_at, until_at, limit
    )
    decisions = open_source(data, url).decisions(wanted)
    if as_json:
        write_json(decisions)
        return
    if not decisions:
        click.echo(f"nothing was decided about {customer} that fits")
        return
    for decision in reversed(decisions):  # a story is read from its beginning
        _show(decision)
    if len(decisions) == limit:
        click.echo(f"Only the latest {limit} are shown; --limit shows more.")


def _show(decision: Decision) -> None:
    click.secho(f"{read_instant(decision.at)}  {describe_outcome(decision)}", bold=True)
    for line in (describe_reason(decision), describe_rules(decision), describe_cause(decision)):
        if line:
            click.echo(f"{' ' * _INDENT}{line}")
    if decision.expires_at:
        click.echo(f"{' ' * _INDENT}Of no use after {read_instant(decision.expires_at)}.")
    click.echo(f"{' ' * _INDENT}{decision.decision_id}, workspace {decision.program[:15]}")
    click.echo()
    rows = [
        (line.channel, line.check, line.result, read_instant(line.until), line.rule, line.seen)
        for line in decision.trace
    ]
    if rows:
        show_table(("channel", "check", "result", "until", "rule", "seen"), rows, indent=_INDENT)
        click.echo()
