"""How the commands speak: tables and progress bars on a terminal, plain text anywhere else.

Used by every command. rich is imported only where a terminal is there to draw on.
"""

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import click
import msgspec

from engine.instants import parse_instant

_GAP = "  "
Progress = Callable[[int, int], None]  # (done, total); a total of 0 is not known yet


class Instant(click.ParamType[int]):
    """An instant on the command line."""

    name = "instant"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read an ISO 8601 instant."""
        if isinstance(value, int):
            return value
        try:
            return parse_instant(str(value))
        except ValueError:
            message = f"{str(value)[:80]!r} is not an instant: write it like 2026-03-02T05:12:00Z"
            self.fail(message, param, ctx)


INSTANT = Instant()


def write_json(value: object) -> None:
    """Write one value as JSON that people can read too."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, indent: int = 0) -> None:
    """Show a table: drawn on a terminal, columns of plain text anywhere else."""
    if sys.stdout.isatty():
        _draw_table(headings, rows, indent)
        return
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(" " * indent + _GAP.join(cells).rstrip())


@contextmanager
def show_progress(label: str) -> Generator[Progress]:
    """Give a function that shows how far long work is; it draws only on a terminal."""
    if not sys.stderr.isatty():
        yield _say_nothing
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress as Bar,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)

        def advance(done: int, total: int) -> None:
            # Drawing costs more than deciding, so a bar of 200 pieces is enough.
            if total in (0, done) or done % (total // 200 + 1) == 0:
                bar.update(task, completed=done, total=total or None)

        yield advance


def _draw_table(headings: Sequence[str], rows: Sequence[Sequence[str]], indent: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        # As Text, because a customer's words may look like markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(Padding(table, (0, 0, 0, indent)))


def _say_nothing(done: int, total: int) -> None:
    """Stand in for a progress bar where nobody watches."""
