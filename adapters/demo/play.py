"""`nextbeat demo`: one day of a shop in about a minute, with everything real but the people.

Called by the command line. Starts a mail server, the product with its gateway, and the Segment
library pointed at it; hands decisions to `screen` as they are made.

Rules
- Events go in through the library and HTTP, e-mail goes out through SMTP: nothing is short-cut.
- Only the clock is ours: it stands still until everything is ready, and again at the day's end,
  so that the closing figures are of one instant.
- Only a folder that an earlier demonstration made is ever emptied.
"""

import asyncio
import logging
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import uvloop

from actors.endings import OutboxState
from actors.runtime import Settings
from adapters.app import App, Workspace, open_workspace
from adapters.clock import ScaledClock
from adapters.demo.mailroom import Mailroom
from adapters.demo.screen import Figures, Screen, open_screen, show_figures, show_next
from adapters.demo.shoppers import ENDS_AT, OPENS_AT, Call, Day, plan_day
from adapters.gateway.settings import GatewaySettings
from adapters.sqlite.lock import DataLock
from adapters.telemetry.logs import configure
from engine.errors import NextbeatError
from engine.instants import DAY_MS, SECOND_MS
from engine.records import Decided


class ForeignFolderError(NextbeatError):
    """The folder for the day holds something that no demonstration made."""


DEMO_WORKSPACE = Path(__file__).parent / "workspace"

_SEGMENT: Any = import_module("segment.analytics.client")  # it has no types
_SEED = 7
_HOST = "127.0.0.1"
_LOG_FILE = "demo.log"  # it also marks a folder as ours
_NAP_MS = 20
_SNAPSHOT_MS = 10_000
_FRAME_S = 0.1
_SETTLE_S_MAX = 5.0
_UPLOADS = 600  # how often the library posts, at most, over the day
_UPLOAD_S_MAX = 0.1
_NO_PROXY = {"http": None, "all": None}  # whatever the environment says: it stays on this machine
_MISDATED = datetime(2099, 1, 1, tzinfo=UTC)


def run_demo(data: Path, seconds: float) -> None:
    """Play the day in about so many seconds, and show how it went. Raises NextbeatError."""
    workspace = open_workspace(DEMO_WORKSPACE)
    with _prepare(data).open("w", encoding="utf-8") as log:
        configure("info", json=True, stream=log)
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        play = Play(workspace, data, seconds)
        with open_screen(play.day.shoppers, seconds) as screen:
            figures = uvloop.run(play.run(screen))
        show_figures(figures, screen.tally)
        show_next(screen.tally, data, DEMO_WORKSPACE)


class Stopwatch:
    """Time that runs from `start` to `stop` and stands still before and after, for a clock."""

    def __init__(self) -> None:
        self._started_ns: int | None = None
        self._stopped_ns: int | None = None

    def start(self) -> None:
        """Let time run."""
        self._started_ns = time.monotonic_ns()

    def stop(self) -> None:
        """Let time stand still."""
        self._stopped_ns = time.monotonic_ns()

    def read(self) -> int:
        """Tell how long it has run, in nanoseconds."""
        if self._started_ns is None:
            return 0
        return (self._stopped_ns or time.monotonic_ns()) - self._started_ns


class Sender:
    """Plays the day's calls through the Segment library, in a thread, as a shop's backend would."""

    def __init__(self, calls: Sequence[Call], clock: ScaledClock, seconds: float) -> None:
        self.sent = 0
        self.lost = 0
        self._calls = calls
        self._clock = clock
        self._factor = DAY_MS / SECOND_MS / seconds
        self._upload_s = min(_UPLOAD_S_MAX, seconds / _UPLOADS)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Send nothing more than has been sent."""
        self._stopped.set()

    def run(self, url: str) -> None:
        """Make each call when its time has come, then see to it that all of them have arrived."""
        client = _SEGMENT.Client(
            "demo-write-key",
            host=url,
            upload_interval=self._upload_s,
            upload_size=20,
            max_retries=3,
            proxies=dict(_NO_PROXY),
            on_error=self._lose,
        )
        for call in self._calls:
            left_ms = call.at - self._clock.now()
            if self._stopped.wait(max(0.0, left_ms / self._factor / SECOND_MS)):
                break
            taken, _ = _make_call(client, call)
            self.sent += taken
        client.shutdown()

    def _lose(self, _error: Exception, batch: Sequence[object]) -> None:
        self.lost += len(batch)


def _make_call(client: Any, call: Call) -> tuple[bool, object]:  # noqa: ANN401 - see _SEGMENT
    common: dict[str, Any] = {
        "context": dict(call.context),
        "message_id": call.id,
        "timestamp": _MISDATED if call.is_misdated else None,
    }
    if not call.event:
        result: tuple[bool, object] = client.identify(call.customer, call.properties, **common)
    else:
        result = client.track(call.customer, call.event, call.properties, **common)
    return result


class Play:
    """The day on the stage: who plays, by which clock, and what is counted."""

    def __init__(self, workspace: Workspace, data: Path, seconds: float) -> None:
        self.day: Day = plan_day(_SEED)
        self._workspace = workspace
        self._data = data
        self._factor = DAY_MS / SECOND_MS / seconds
        self._stopwatch = Stopwatch()
        self._clock = ScaledClock(OPENS_AT, self._factor, self._stopwatch.read)
        self._sender = Sender(self.day.calls, self._clock, seconds)
        self._stopped = asyncio.Event()

    async def run(self, screen: Screen) -> Figures:
        """Play the day, or as much of it as Ctrl-C allows; gives the closing figures."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopped.set)
        port = _find_port()
        url = f"http://{_HOST}:{port}"
        async with Mailroom(self.day.shoppers, self._clock, url) as mailroom:
            app = App(
                self._workspace,
                self._data,
                GatewaySettings(port=port),
                clock=self._clock,
                settings=Settings(
                    nap_ms=round(_NAP_MS * self._factor),
                    snapshot_after_ms=round(_SNAPSHOT_MS * self._factor),
                ),
                environ={
                    "NEXTBEAT_SMTP_HOST": _HOST,
                    "NEXTBEAT_SMTP_PORT": str(mailroom.port),
                    "NEXTBEAT_PUBLIC_URL": url,
                    "NEXTBEAT_SECRET": secrets.token_hex(32),
                },
            )
            async with app:
                app.runtime.subscribe(_listener(screen))
                self._stopwatch.start()
                sending = asyncio.create_task(asyncio.to_thread(self._sender.run, url))
                await self._watch(screen, mailroom)
                self._sender.stop()
                await sending
                await self._settle(app, mailroom)
        screen.tick(self._clock.now(), self._sender.sent, mailroom.counts.taken)
        return _figures(app, mailroom, self._sender, self._clock.now())

    async def _watch(self, screen: Screen, mailroom: Mailroom) -> None:
        """Draw until the day is over, or somebody has seen enough."""
        while not self._stopped.is_set() and (now := self._clock.now()) < ENDS_AT:
            screen.tick(now, self._sender.sent, mailroom.counts.taken)
            try:
                async with asyncio.timeout(_FRAME_S):
                    await self._stopped.wait()
            except TimeoutError:
                pass

    async def _settle(self, app: App, mailroom: Mailroom) -> None:
        """Stop the clock and wait until nothing is on its way any more."""
        self._stopwatch.stop()
        await mailroom.stop_reading()
        counters = app.runtime.counters
        try:
            async with asyncio.timeout(_SETTLE_S_MAX):
                await app.runtime.outbox.settle()
                while counters.received != (  # noqa: ASYNC110 - counters give no signal
                    counters.stored + counters.duplicates + counters.quarantined
                ):
                    await asyncio.sleep(_FRAME_S)
        except TimeoutError:
            pass  # then the figures do not add up, and say so


def _listener(screen: Screen) -> Callable[[Sequence[tuple[str, Decided]]], None]:
    def listen(decided: Sequence[tuple[str, Decided]]) -> None:
        for customer, decision in decided:
            screen.decide(customer, decision)

    return listen


def _figures(app: App, mailroom: Mailroom, sender: Sender, now: int) -> Figures:
    """Put the closing figures together, each side of every equation counted by somebody else."""
    counters, outbox, mail = app.runtime.counters, app.runtime.outbox.counts, mailroom.counts
    # What the outbox found out about its messages comes in as receipts, one for each.
    settled = sum(outbox.get((c, s.value), 0) for c in app.channels for s in OutboxState)
    other = settled + mail.receipts + mail.unsubscribed
    return Figures(
        ended_at=now,
        sent=sender.sent,
        lost=sender.lost,
        stored=counters.stored - other,
        duplicates=counters.duplicates,
        quarantined=counters.quarantined,
        receipts=mail.receipts,
        unsubscribed=mail.unsubscribed,
        unheard=mail.unheard,
        mail_accepted=outbox.get(("email", OutboxState.SENT.value), 0),
        mail_failed=outbox.get(("email", OutboxState.FAILED.value), 0),
        mail_taken=mail.taken,
        mail_refused=mail.refused,
        timers=counters.timers_fired,
        commits=counters.commits,
    )


def _find_port() -> int:
    """Find a free port: links in e-mail must name it before the gateway listens on it."""
    with socket.create_server((_HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _prepare(data: Path) -> Path:
    """Empty the folder of an earlier demonstration; gives the log file of the new one."""
    log = data / _LOG_FILE
    if data.exists() and any(data.iterdir()):
        if not log.exists():
            raise ForeignFolderError(
                f"{data} holds something that no demonstration made, and it would be emptied: "
                "name another folder with --data"
            )
        DataLock(data, wait_s=0).release()  # raises StoreError while a server works in there
        for path in data.iterdir():
            path.unlink()
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    return log
