"""`nextbeat export`: everything there is about a customer, to answer who asks for it."""

import os
import sys
from pathlib import Path

import click

from adapters.cli.customers import write_export
from adapters.cli.source import source_options

_STDOUT = Path("-")


@click.command()
@click.argument("customer")
@source_options
@click.option(
    "--out",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write to this file, for its owner's eyes only; `-` is the standard output.",
)
@click.option("--mask", is_flag=True, help="Hide personal data.")
def export(*, customer: str, data: Path | None, url: str, out: Path | None, mask: bool) -> None:
    """Write everything there is about CUSTOMER as one JSON document.

    CUSTOMER is a customer's id or an anonymous id. That it was exported is written down: `nextbeat
    acts` lists it.
    """
    if out is None or out == _STDOUT:
        write_export(data, url, customer, sys.stdout.buffer.write, is_masked=mask)
        return
    # The file has its name only once it is whole.
    part = out.with_name(f"{out.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, for the mode
            write_export(data, url, customer, file.write, is_masked=mask)
        part.replace(out)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    click.echo(f"{out} holds all there is about {customer}")
