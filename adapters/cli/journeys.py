"""`nextbeat journeys`: how many customers are in each journey, and where one of them is."""

from pathlib import Path

import click

from adapters.cli.flights import read_journeys, read_places
from adapters.cli.output import show_table, write_json
from adapters.cli.sentences import read_instant
from adapters.cli.source import source_options
from adapters.gateway.journeyviews import JourneyPlace


@click.command()
@click.argument("customer", required=False, default="")
@source_options
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def journeys(*, customer: str, data: Path | None, url: str, as_json: bool) -> None:
    """Show how many customers are in each journey; or where CUSTOMER is, and what is awaited."""
    if customer:
        _show_customer(customer, data, url, as_json=as_json)
        return
    found = read_journeys(data, url)
    if as_json:
        write_json(found)
    elif not found.journeys:
        click.echo("the workspace has no journeys")
    else:
        rows = [
            (
                one.journey,
                str(one.people),
                str(one.older),
                one.begins_with or "is not there any more",
            )
            for one in found.journeys
        ]
        show_table(("journey", "customers", "older versions", "begins with"), rows)


def _show_customer(customer: str, data: Path | None, url: str, *, as_json: bool) -> None:
    found = read_places(data, url, customer)
    if as_json:
        write_json(found)
        return
    if not found.places:
        click.echo(f"{found.customer} is in no journey")
    for place in found.places:
        _show_place(place)
    for left in found.left:
        click.echo(f"left {left.journey} {read_instant(left.at)}: {left.reason}")


def _show_place(place: JourneyPlace) -> None:
    older = "" if place.is_current else ", in an older version"
    branch = ", in a branch" if place.branch else ""
    click.secho(f"{place.journey}, at {place.step or 'an unknown step'}{branch}{older}", bold=True)
    click.echo(f"    in it since {read_instant(place.entered_at)}")
    since = f" since {read_instant(place.since)}" if place.since else ""
    until = f", until {read_instant(place.until)} at the latest" if place.until else ""
    click.echo(f"    {place.doing}{since}{until}")
