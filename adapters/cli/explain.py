"""`nextbeat explain`: why this person did, or didn't, get this message; and whether they may now.

Asks a running Nextbeat, or reads the data folder of one that is stopped or running; both give the
same decisions, and the same answer.
"""

from pathlib import Path

import click

from adapters.cli.answers import (
    describe_channel,
    describe_place,
    describe_plan,
    describe_verdict,
    list_rules,
)
from adapters.cli.output import INSTANT, show_table, write_json
from adapters.cli.sentences import (
    describe_cause,
    describe_outcome,
    describe_reason,
    describe_rules,
    read_instant,
)
from adapters.cli.source import (
    Question,
    Source,
    Wanted,
    open_source,
    period_options,
    source_options,
)
from adapters.gateway.views import Decision, Eligibility
from engine.reasons import Outcome, Reason

_LIMIT = 10
_LIMIT_MAX = 10_000
_INDENT = 4


@click.command()
@click.argument("customer")
@source_options
@click.option(
    "--message",
    default="",
    help="Tell whether this message may go now. With a filter of the past: only decisions on it.",
)
@click.option("--at", type=INSTANT, help="With --message: tell it for this instant, not for now.")
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
@period_options
@click.option(
    "--limit",
    type=click.IntRange(1, _LIMIT_MAX),
    help=f"How many decisions at most, newest first.  [default: {_LIMIT}]",
)
@click.option("--json", "as_json", is_flag=True, help="Write what is told as JSON.")
def explain(  # noqa: PLR0913 - one argument for each option
    *,
    customer: str,
    data: Path | None,
    url: str,
    message: str,
    at: int | None,
    journey: str,
    outcome: str | None,
    reason: str | None,
    since_at: int | None,
    until_at: int | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Tell what was decided about CUSTOMER, when, why, by which rule, and until when.

    CUSTOMER is a customer's id, an anonymous id, or the id of one decision (d_...).

    With --message and no filter of the past (--journey, --outcome, --reason, --since, --until,
    --limit) it tells whether that message may be sent now, and if not why, when it will be, and
    what would change it.
    """
    wanted = Wanted(
        customer, message, journey, outcome or "", reason or "", since_at, until_at, limit or _LIMIT
    )
    # The filters of the past: with one of them it is decisions that are asked for.
    is_past = any((journey, outcome, reason, limit)) or not (since_at is None is until_at)
    if at is not None and (is_past or not message):
        raise click.UsageError("--at goes with --message, and with no filter of the past")
    source = open_source(data, url)
    if message and not is_past and not wanted.is_one:
        _answer(source.eligibility(Question(customer, message, at)), at, as_json=as_json)
    else:
        _tell(source, wanted, as_json=as_json)


def _answer(answer: Eligibility, at: int | None, *, as_json: bool) -> None:
    """Tell whether a message may go."""
    if as_json:
        write_json(answer)
        return
    click.secho(describe_verdict(answer, asked_at=at is not None), bold=True)
    for line in describe_place(answer):
        click.echo(line)
    for channel in answer.channels:
        click.echo()
        click.echo(describe_channel(channel, answer))
        rules = list_rules(channel, answer)
        if rules:
            show_table(("reason", "until", "rule", "version", "seen"), rules, indent=_INDENT)
    click.echo()
    if not answer.eligible:
        click.echo(describe_plan(answer))
    if answer.changes:
        click.echo("What would change it:")
        for change in answer.changes:
            click.echo(f"{' ' * _INDENT}{change}")


def _tell(source: Source, wanted: Wanted, *, as_json: bool) -> None:
    """Tell what was decided."""
    decisions = source.decisions(wanted)
    if as_json:
        write_json(decisions)
        return
    if not decisions:
        click.echo(f"nothing was decided about {wanted.customer} that fits")
        return
    for decision in reversed(decisions):  # a story is read from its beginning
        _show(decision)
    if len(decisions) == wanted.limit:
        click.echo(f"Only the latest {wanted.limit} are shown; --limit shows more.")


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
