"""`nextbeat schema`: the JSON Schema of a workspace, for editors that complete and check."""

from pathlib import Path

import click
import msgspec

from adapters.cli.output import write_json
from engine.program.schema import workspace_schema


@click.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of the terminal.",
)
def schema(*, output: Path | None) -> None:
    """Print the JSON Schema of workspace files."""
    if output is None:
        write_json(workspace_schema())
        return
    output.write_bytes(msgspec.json.format(msgspec.json.encode(workspace_schema()), indent=2))
    click.echo(f"wrote {output}")
