"""`nextbeat merge`: two customers are one person; the first stays."""

import click

from adapters.cli.remote import Remote, path_of
from adapters.cli.source import url_option


@click.command()
@click.argument("customer")
@click.argument("other")
@url_option
def merge(*, customer: str, other: str, url: str) -> None:
    """Make OTHER a part of CUSTOMER: they are one person.

    Consent, what was sent, journeys and whatever was counted come together; what arrives for OTHER
    from now on goes to CUSTOMER. `nextbeat unmerge` takes it back. An anonymous visitor is written
    `anon:` and its anonymous id.
    """
    Remote(url).post(path_of("v1", "customers", customer, "merge", other))
    click.echo(f"{other} is {customer} from now on")
