"""`nextbeat catalogue`: load what events name into a running server, and look at it."""

from pathlib import Path

import click
import msgspec

from adapters.cli.output import show_table, write_json
from adapters.cli.remote import Remote, path_of
from adapters.cli.source import url_option
from adapters.feeds import Form, form_of
from adapters.gateway.views import CatalogueItem, CatalogueKinds, CatalogueLoad
from engine.limits import CATALOGUE_BODY_BYTES_MAX

_TYPES = {Form.CSV: "text/csv", Form.JSON: "application/x-ndjson"}
_ERRORS_SHOWN_MAX = 20

_kind_option = click.option(
    "--kind", required=True, metavar="KIND", help="products, stores, content, or a kind of yours."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON.")


@click.group()
def catalogue() -> None:
    """Load what events name: products, stores, content.

    An event that carries the id of an item is told what is known of it before it is journaled.
    """


@catalogue.command("load")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_kind_option
@click.option(
    "--replace",
    is_flag=True,
    help="FILE has all items of the kind: remove those that are not in it.",
)
@url_option
@_json_option
def load(*, file: Path, kind: str, replace: bool, url: str, as_json: bool) -> None:
    """Load the items in FILE, which is CSV with a header (.csv), NDJSON or a JSON array.

    Lines that can't be read are named and left out; with any of them --replace removes nothing,
    and the exit code is 1.
    """
    body = file.read_bytes()
    if len(body) > CATALOGUE_BODY_BYTES_MAX:
        message = (
            f"{file} has {len(body)} bytes, at most {CATALOGUE_BODY_BYTES_MAX} are taken at once:"
            " split it, and load the parts without --replace"
        )
        raise click.ClickException(message)
    method, path = ("PUT" if replace else "POST"), path_of("v1", "catalogue", kind)
    said = Remote(url).send(method, path, body, _TYPES[form_of(file)])
    report = msgspec.json.decode(said, type=CatalogueLoad)
    if as_json:
        write_json(report)
    else:
        _show(report, file, replace=replace)
    if report.errors_total:
        raise SystemExit(1)


def _show(report: CatalogueLoad, file: Path, *, replace: bool) -> None:
    removed = f", {report.removed} removed" if replace else ""
    click.echo(f"{report.stored} items stored, {report.unchanged} as they were{removed}")
    if not report.errors_total:
        return
    click.echo(f"\n{report.errors_total} lines were left out:", err=True)
    for one in report.errors[:_ERRORS_SHOWN_MAX]:
        click.echo(f"  {file}:{one.line}: {one.path}: {one.message} ({one.code})", err=True)
    more = report.errors_total - _ERRORS_SHOWN_MAX
    if more > 0:
        click.echo(f"  and {more} more", err=True)
    if replace:
        click.echo("nothing was removed, because of them", err=True)


@catalogue.command("list")
@url_option
@_json_option
def list_kinds(*, url: str, as_json: bool) -> None:
    """Tell how many items of each kind there are."""
    kinds = msgspec.json.decode(Remote(url).get("/v1/catalogue", {}), type=CatalogueKinds)
    if as_json:
        write_json(kinds)
        return
    show_table(("kind", "items"), [(kind, str(count)) for kind, count in kinds.kinds.items()])


@catalogue.command("show")
@click.argument("item")
@_kind_option
@url_option
def show(*, item: str, kind: str, url: str) -> None:
    """Show what is known of one item, by its id."""
    said = Remote(url).get(path_of("v1", "catalogue", kind, item), {})
    write_json(msgspec.json.decode(said, type=CatalogueItem))


@catalogue.command("remove")
@click.argument("item")
@_kind_option
@url_option
def remove(*, item: str, kind: str, url: str) -> None:
    """Remove one item, by its id."""
    Remote(url).send("DELETE", path_of("v1", "catalogue", kind, item), b"", "")
    click.echo(f"{item} was removed")
