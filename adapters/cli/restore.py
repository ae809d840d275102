"""`nextbeat restore`: a backup made into a data folder again."""

from pathlib import Path

import click

from adapters.backups import restore_backup
from adapters.cli.backup import tell
from adapters.cli.output import show_progress


@click.command()
@click.option(
    "--from",
    "source",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="The folder or archive that `nextbeat backup` made.",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The data folder to make; it must not be there, or be empty.",
)
def restore(*, source: Path, data: Path) -> None:
    """Make a data folder of a backup, and check it before it is put in place."""
    with show_progress("copying") as progress:
        made = restore_backup(source, data, progress)
    tell(made)
