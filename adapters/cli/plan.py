"""`nextbeat plan`: what another workspace would do to the customers who are in journeys."""

from pathlib import Path

import click

from adapters.cli.flights import read_plan
from adapters.cli.output import show_table, write_json
from adapters.cli.source import source_options
from adapters.gateway.journeyviews import PlannedChange

_VERSION_SHOWN = 8


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@source_options
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def plan(*, folder: Path, data: Path | None, url: str, as_json: bool) -> None:
    """Tell what the workspace in FOLDER would do to who is in journeys now. Nothing is changed."""
    found = read_plan(data, url, folder)
    if as_json:
        write_json(found)
        return
    if found.program == found.in_force:
        click.echo("this is the workspace in force\n")
    if not found.changes:
        click.echo("nobody is in a journey")
        return
    rows = [
        (one.journey, one.version[:_VERSION_SHOWN], one.step, str(one.people), describe_change(one))
        for one in found.changes
    ]
    show_table(("journey", "version", "step", "customers", "what becomes of them"), rows)


def describe_change(one: PlannedChange) -> str:
    """Say what becomes of the people at a step."""
    if one.becomes == "same":
        return "nothing changes"
    if one.becomes == "moves":
        return f"go on at {one.to} in the new version"
    if one.becomes == "leaves":
        return f"leave: {one.to}"
    if one.skipped:
        return f"stay in their version; not sent any more: {', '.join(one.skipped)}"
    return "stay in their version"
