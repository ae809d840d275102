"""Connections that stay open: counted, and ended politely when the server stops.

Used by `stream`, `feed` and `inbox`; `adapters.gateway.app` calls `install` once. Without it the
server would wait its whole drain time for clients that have no reason to leave.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from aiohttp import web


class Lines:
    """The open connections of one application, each by the way to end it."""

    def __init__(self) -> None:
        self._endings: dict[int, Callable[[], object]] = {}
        self._last = 0
        self.is_closing = False

    def __len__(self) -> int:
        return len(self._endings)

    @contextmanager
    def hold(self, end: Callable[[], object]) -> Generator[None]:
        """Count a connection for as long as it is open; `end` is called when it should go."""
        self._last += 1
        number = self._last
        self._endings[number] = end
        try:
            yield
        finally:
            del self._endings[number]

    def end_all(self) -> None:
        """Ask every connection to end, and let no other one begin."""
        self.is_closing = True
        for end in list(self._endings.values()):
            end()


LINES = web.AppKey("lines", Lines)


def install(app: web.Application) -> None:
    """Give an application its lines, to be ended before the server waits for its handlers."""
    app[LINES] = Lines()

    async def end_lines(stopping: web.Application) -> None:
        stopping[LINES].end_all()

    app.on_shutdown.append(end_lines)


def lines_of(request: web.Request) -> Lines:
    """Find the lines of the application a request came to."""
    for app in reversed(request.match_info.apps):
        if LINES in app:
            return app[LINES]
    message = "adapters.gateway.lines.install was not called for this application"
    raise RuntimeError(message)
