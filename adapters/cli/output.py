"""How the commands speak: tables and progress bars on a terminal, plain text anywhere else.

Used by every command. rich is imported only where a terminal is there to draw on.
"""

import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import click
import msgspec

from engine.instants import parse_instant

_GAP = "  "
Progress = Callable[[int, int], None]  # (done, total); a total of 0 is not known yet
LoadProgress = Callable[[int, int, int], None]  # (bytes done, bytes in all or 0, events)
_TELL_EVERY_S = 5.0
_DRAW_EVERY_S = 0.1
_MINUTE_S = 60


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


@contextmanager
def show_load(label: str) -> Generator[LoadProgress]:
    """Give a function that shows how far a file is loaded, how fast, and how long it will take.

    On a terminal a bar is drawn; anywhere else a line says so every few seconds.
    """
    pace = _Pace()
    if not sys.stderr.isatty():

        def tell(done_bytes: int, total_bytes: int, events: int) -> None:
            if pace.is_due(_TELL_EVERY_S):
                click.echo(f"{label}: {pace.describe(done_bytes, total_bytes, events)}", err=True)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress as Bar, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, said="")

        def advance(done_bytes: int, total_bytes: int, events: int) -> None:
            if pace.is_due(_DRAW_EVERY_S):
                said = pace.describe(done_bytes, total_bytes, events)
                bar.update(task, completed=done_bytes, total=total_bytes or None, said=said)

        yield advance


class _Pace:
    """How fast a file is loaded, from its first portion on."""

    def __init__(self) -> None:
        self._told_at_s = self._begun_at_s = time.monotonic()
        self._begun_bytes: int | None = None

    def is_due(self, every_s: float) -> bool:
        """Say whether it is time to tell people again."""
        now_s = time.monotonic()
        if now_s - self._told_at_s < every_s:
            return False
        self._told_at_s = now_s
        return True

    def describe(self, done_bytes: int, total_bytes: int, events: int) -> str:
        """Say how many events, how fast, how much of the file, and how long the rest will take."""
        passed_s = max(time.monotonic() - self._begun_at_s, 0.001)
        said = f"{events:,} events, {events / passed_s:,.0f}/s"
        if self._begun_bytes is None:
            self._begun_bytes = 0 if events else done_bytes
        if not total_bytes or not done_bytes:
            return said
        said += f", {done_bytes / total_bytes:.0%}"
        loaded_bytes = done_bytes - self._begun_bytes
        if loaded_bytes > 0:
            left_s = (total_bytes - done_bytes) * passed_s / loaded_bytes
            said += f", about {_say_time(left_s)} left"
        return said


def _say_time(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 60 * _MINUTE_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _MINUTE_S / 60:.1f} h"


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
