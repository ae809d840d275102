"""`nextbeat verify`: whether a data folder holds what was written, and would decide it so again.

Works on the folder of a running server, of a stopped one, and on a copy.
"""

from pathlib import Path

import click

from adapters.cli.output import show_progress, write_json
from adapters.findings import Found
from adapters.verify import Report, Verifier
from engine.errors import StoreError


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="NEXTBEAT_DATA",
    help="The data folder to look at; nothing in it is changed.",
)
@click.option(
    "--decide/--no-decide",
    default=True,
    help="Decide everything again, and compare; most of the time goes here.  [default: decide]",
)
@click.option("--json", "as_json", is_flag=True, help="Write what was found as JSON.")
def verify(*, data: Path, decide: bool, as_json: bool) -> None:
    """Check that a data folder is what was written, agrees, and would be decided so again.

    Exits with 0 when it is sound, with 1 when something is damaged, and with 2 when there is
    nothing to look at.
    """
    try:
        with show_progress("verifying") as progress:
            report = Verifier(data, progress).run(decide=decide)
    except StoreError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        write_json(report)
    else:
        _show(report, data)
    if not report.ok:
        raise SystemExit(1)


def _show(report: Report, data: Path) -> None:
    for one in report.found:
        click.echo(_describe(one))
    if report.found_count > len(report.found):
        click.echo(f"and {report.found_count - len(report.found)} more")
    if report.ok:
        click.echo(f"{data} is sound")
    else:
        count = report.found_count
        click.echo(f"\n{data} is damaged: {count} thing{'s' * (count != 1)} found")
    erased = f" ({report.erased} of them erased)" if report.erased else ""
    click.echo(
        f"  {report.entries} entries{erased}, the last is {report.last_seq},"
        f" hash {report.hash[:16]}\n"
        f"  {report.customers} customers, {report.snapshots} snapshots, {report.timers} timers,"
        f" {report.decisions} decisions, {report.messages} messages, {report.members} members of"
        f" segments, {report.stays} stays in journeys compared with them\n"
        f"  {report.decided_again} entries decided again, byte for byte as they were"
    )
    for note in report.notes:
        click.echo(f"  {note}")


def _describe(one: Found) -> str:
    entry = "" if one.seq is None else f"entry {one.seq}"
    place = ", ".join(part for part in (one.part, entry, one.row) if part)
    hint = f"\n    {one.hint}" if one.hint else ""
    return f"{place}: {one.message}{hint}"
