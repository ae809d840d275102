"""What a submitter holds while its inputs become durable.

Made by `actors.runtime.submit`, carried with each input through mailboxes, settled by
`actors.commits` when the last of its inputs is on disk.
"""

import asyncio
from collections.abc import Sequence

from engine.events import Input


class Ticket:
    """Counts the inputs of one submission that are still to be decided.

    `mark` is of the latest batch that holds a part of it: a submission fails with any of its parts.
    """

    __slots__ = ("done", "mark", "waiting")

    def __init__(self, done: asyncio.Future[None], waiting: int) -> None:
        self.done = done
        self.waiting = waiting
        self.mark: object | None = None

    def settle(self) -> None:
        """Tell the submitter that everything is durable."""
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """Tell the submitter that nothing was acknowledged, and why."""
        if not self.done.done():
            self.done.set_exception(error)


class Hold:
    """A submission that waits, from one of its inputs on, and the customers who wait with it."""

    __slots__ = ("inputs", "missing", "names", "number", "place", "ticket")

    def __init__(self, inputs: Sequence[Input], place: int, ticket: Ticket, number: int) -> None:
        self.inputs = inputs
        self.place = place
        self.ticket = ticket
        self.number = number  # in order of waiting
        self.names: tuple[str, ...] = ()
        self.missing = 0  # identities that the store was asked for

    def left(self) -> int:
        """Count the inputs that are not posted."""
        return len(self.inputs) - self.place
