"""`nextbeat init`: a workspace to begin with, minimal or of a template."""

from collections.abc import Iterator
from difflib import get_close_matches
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import click
import msgspec

from adapters.cli.output import show_table, write_json

_PACKAGE = "adapters.templates"
_MAIN = "workspace.yaml"
_MINIMAL = "minimal"


class Template(msgspec.Struct, frozen=True):
    """A workspace to begin with; its first line says what it is."""

    name: str
    about: str


@click.command()
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--template", default=_MINIMAL, metavar="NAME", help="Begin with this one.")
@click.option("--list", "is_list", is_flag=True, help="List the templates, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --list: write the list as JSON.")
def init(*, folder: Path | None, template: str, is_list: bool, as_json: bool) -> None:
    """Write a workspace into FOLDER, minimal or of a template, with tests that pass.

    Files that are there already are never written over: if one of the workspace's is, nothing is
    written at all.
    """
    if is_list:
        _show(list_templates(), as_json=as_json)
        return
    if folder is None:
        raise click.UsageError("name the FOLDER to write into, or ask with --list")
    files = list(_read_files(_find(template)))
    taken = [name for name, _ in files if (folder / name).exists()]
    if taken:
        message = (
            f"{folder / taken[0]} is there already: nothing was written; choose another folder"
        )
        raise click.ClickException(message)
    for name, text in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:  # never over one that came meanwhile
            file.write(text)
    click.echo(f"{folder} holds {len(files)} file{'s' * (len(files) != 1)}:")
    for name, _ in files:
        click.echo(f"  {name}")
    click.echo(f"\nNext: nextbeat check {folder}; nextbeat test {folder}")


def list_templates() -> list[Template]:
    """List the templates, by name."""
    return [Template(one.name, _about(one)) for one in _templates()]


def _templates() -> list[Traversable]:
    root = resources.files(_PACKAGE)
    found = [one for one in root.iterdir() if one.is_dir() and one.joinpath(_MAIN).is_file()]
    return sorted(found, key=lambda one: one.name)


def _about(template: Traversable) -> str:
    first = template.joinpath(_MAIN).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ").partition(" `nextbeat")[0]


def _find(name: str) -> Traversable:
    known = {one.name: one for one in _templates()}
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        message = f"there is no template {name[:80]!r}: {hint}"
        raise click.BadParameter(message, param_hint="--template")
    return known[name]


def _read_files(folder: Traversable, within: str = "") -> Iterator[tuple[str, str]]:
    for one in sorted(folder.iterdir(), key=lambda one: (one.is_dir(), one.name)):
        if one.is_dir():
            yield from _read_files(one, f"{within}{one.name}/")
        else:
            yield f"{within}{one.name}", one.read_text(encoding="utf-8")


def _show(templates: list[Template], *, as_json: bool) -> None:
    if as_json:
        write_json(templates)
    else:
        show_table(("template", "about"), [(one.name, one.about) for one in templates])
