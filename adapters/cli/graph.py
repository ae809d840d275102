"""`nextbeat graph`: a journey as a picture or as Mermaid text, with who is where."""

from pathlib import Path

import click

from adapters.cli.drawing import draw
from adapters.cli.flights import read_graph
from adapters.cli.output import write_json
from adapters.cli.source import source_options

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("journey")
@click.option("--workspace", type=_FOLDER, help="Draw it as this workspace has it, without people.")
@source_options
@click.option("--svg", "form", flag_value="svg", help="Write a picture, as SVG.")
@click.option("--mermaid", "form", flag_value="mermaid", default=True, help="Write Mermaid text.")
@click.option("--json", "form", flag_value="json", help="Write the graph as JSON.")
def graph(*, journey: str, workspace: Path | None, data: Path | None, url: str, form: str) -> None:
    """Draw JOURNEY, with how many customers are at each step."""
    found = read_graph(workspace, data, url, journey)
    if form == "json":
        write_json(found)
    else:
        click.echo(draw(found) if form == "svg" else found.mermaid, nl=False)
