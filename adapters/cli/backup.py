"""`nextbeat backup`: a copy of a data folder, made while the server runs."""

from pathlib import Path

import click

from adapters.backups import Backup, make_backup
from adapters.cli.output import show_progress


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="NEXTBEAT_DATA",
    help="The data folder to copy; a server may be running on it.",
)
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path),
    help="The folder to make, or an archive if it ends in .tar, .tar.gz or .tgz.",
)
def backup(*, data: Path, to: Path) -> None:
    """Copy a data folder as it is at one instant, and check the copy.

    Nothing is overwritten, and a copy that is not sound is not kept.
    """
    with show_progress("copying") as progress:
        made = make_backup(data, to, progress)
    tell(made)


def tell(made: Backup) -> None:
    """Say what was made."""
    click.echo(f"{made.path}: {made.bytes:,} bytes, last entry {made.last_seq}, hash {made.hash}")
