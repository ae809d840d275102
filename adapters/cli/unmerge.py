"""`nextbeat unmerge`: two customers who were taken for one are two again."""

import click

from adapters.cli.remote import Remote, path_of
from adapters.cli.source import url_option


@click.command()
@click.argument("customer")
@click.argument("other")
@url_option
def unmerge(*, customer: str, other: str, url: str) -> None:
    """Make CUSTOMER and OTHER two again, from the journal of what happened to them.

    Each event goes to whom it names; what was sent meanwhile counts for the caps of both. They are
    not merged again unless somebody says so.
    """
    Remote(url).post(path_of("v1", "customers", customer, "unmerge", other))
    click.echo(f"{customer} and {other} are two customers from now on")
