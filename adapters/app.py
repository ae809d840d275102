"""The composition root: the file that knows everybody.

Called by `adapters.cli`, the demo and the benches. Puts store, clock, channels, runtime and gateway
together, and takes them apart in order.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import structlog
import uvloop

from actors.breakers import Standing
from actors.lanes import Pace
from actors.ports import Channel, Clock, Store
from actors.rows import ActQuery
from actors.runtime import Runtime, Settings
from adapters.channels.calls import HttpCaller, check_calls
from adapters.channels.hook_registry import HOOKS, build_hooks
from adapters.channels.links import URL_VARIABLE, check_links, link_channels
from adapters.channels.reception import Reception, fetch_over
from adapters.channels.registry import (
    INBOX_FILE,
    build_channels,
    build_pacing,
    find_inbox,
    find_lines,
    name_providers,
)
from adapters.channels.wire import Wire
from adapters.clock import WallClock
from adapters.files.registries import load_registries
from adapters.files.workspaces import read_workspace, source_bytes
from adapters.gateway import (
    centre,
    confirm,
    desk,
    hooks,
    inbox,
    tracking,
    unsubscribe,
    ussd,
)
from adapters.gateway.app import Gateway, Routes, serve
from adapters.gateway.auth import KeyRing
from adapters.gateway.settings import GatewaySettings, hash_keys
from adapters.inbox import Inbox, desk_shelf
from adapters.retention import Sweeper
from adapters.signing import Signer
from adapters.sqlite.ballast import read_ballast_bytes
from adapters.sqlite.store import SqliteStore, WriterKind
from adapters.telemetry.logs import mark
from adapters.telemetry.metrics import LoopLag
from engine.calendars import warm
from engine.errors import NextbeatError, Problem, ProgramError, StoreError
from engine.events import Failure
from engine.instants import SECOND_MS
from engine.program.compile import compile_earlier, compile_source
from engine.program.journey import Journey
from engine.program.places import Place, Places, format_path
from engine.program.program import Channel as ChannelProgram, Program
from engine.program.regions import countries_of

logger = structlog.get_logger("nextbeat")

# The threads that read the store need the interpreter for microseconds at a time; with CPython's
# default of 5 ms between hand-overs they would wait that long for each of them.
SWITCH_INTERVAL_S = 0.001

# Most of what is in memory is customers, which hold no reference cycles. Collecting the oldest
# generation walks all of them: that is to be rare.
COLLECT_AFTER = (100_000, 50, 200)

WATCH_EVERY_S = 0.2

# A stop takes five seconds at most, for that is about what supervisors wait: as long for calls to
# providers as for requests in progress (`Deadlines.drain_s`), and then this long for the store.
PROVIDERS_MS = 2_500
STORE_S = 2.0


DESK_KEYS = "NEXTBEAT_DESK_KEYS"
OPERATOR = "command line"  # who acts, where it is not by a key
_CHANGED = "changed_workspace"


class Workspace(msgspec.Struct, frozen=True):
    """A workspace ready to be put into force: compiled, and as the bytes it is kept as."""

    program: Program
    source: bytes
    places: Places = {}
    folder: Path = Path()  # where the files it names are

    def pace(self) -> Pace | None:
        """Tell how fast all channels together may be used."""
        pacing = self.program.pacing
        return None if pacing is None else Pace(pacing.per_second, pacing.burst)

    def locate(self, error: ProgramError) -> ProgramError:
        """Say where in the files each problem is that was found after compiling."""
        lines = {format_path(path): place for path, place in self.places.items()}
        return ProgramError([_locate(problem, lines) for problem in error.problems])


def open_workspace(folder: Path) -> Workspace:
    """Read a workspace from its files. Raises ProgramError with every fault."""
    source = read_workspace(folder)
    program = compile_source(source.raw, source.places)
    return Workspace(program, source_bytes(source), source.places, folder)


def _locate(problem: Problem, lines: Mapping[str, Place]) -> Problem:
    """Give a problem the place of its path, or of the nearest key above it."""
    path = problem.path
    while path and path not in lines:
        path = path.rpartition(".")[0]
    place = lines.get(path)
    if problem.file or place is None:
        return problem
    return msgspec.structs.replace(problem, file=place.file, line=place.line, column=place.column)


class App:
    """A shard with its gateway, from start to stop. Use it as an asynchronous context manager."""

    def __init__(
        self,
        workspace: Workspace,
        data: Path,
        gateway_settings: GatewaySettings | None,
        *,
        clock: Clock | None = None,
        settings: Settings | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Without gateway settings nobody listens; a quiet shard has no channels."""
        self._workspace = workspace
        self._environ = environ
        self._gateway_settings = gateway_settings
        program = workspace.program
        self._made = program.channels  # what `channels` was built from
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.store: Store = SqliteStore(
            data, writer=WriterKind.PROCESS, ballast_bytes=read_ballast_bytes(environ)
        )
        clock = clock or WallClock()
        try:
            self.channels: Mapping[str, Channel] = (
                {}
                if settings is not None and settings.quiet
                else build_channels(program.channels, data, environ, clock.now)
            )
            pacing = build_pacing(program.channels)
            pace = workspace.pace()
            check_links(program, environ)
            check_calls(program, environ)
            built = build_hooks(environ)
        except ProgramError as error:
            raise workspace.locate(error) from None
        self._wire = Wire()
        self._reception = Reception(
            built,
            {name: kind.variables for name, kind in HOOKS.items()},
            fetch=fetch_over(self._wire),
            public_url=environ.get(URL_VARIABLE, ""),
        )
        self.runtime = Runtime(
            self.store,
            clock,
            program,
            link_channels(self.channels, Signer.from_environment(environ), environ),
            settings=settings,
            pacing=pacing,
            pace=pace,
            providers=name_providers(program.channels),
            # Also of a workspace that has no inbox any more: it may have had one.
            keepers=[find_inbox(self.channels) or Inbox(data / INBOX_FILE)],
            caller=HttpCaller(environ),
        )
        self.runtime.outbox.watch = tell_of_provider
        self._gateway: Gateway | None = None
        self._sweeper = Sweeper(self.store, clock, find_inbox(self.channels))
        self._lag = LoopLag()

    @property
    def port(self) -> int:
        """The port the gateway listens on."""
        assert self._gateway is not None
        return self._gateway.port

    async def __aenter__(self) -> Self:
        """Recover, then listen. What was opened is closed again when one of it fails."""
        folded = await self.runtime.open()
        try:
            await self.use(self._workspace)
            await self.runtime.start()
            if self._gateway_settings is not None:
                box = find_inbox(self.channels)
                self._gateway = await serve(
                    self.runtime, self._gateway_settings, self._mounts(), box
                )
            self._sweeper.start()
        except BaseException:
            await self.runtime.stop()
            raise
        self._lag.start()
        damaged = list(self.runtime.catalogue.damaged)
        if damaged:
            logger.error("items are damaged and left out; load them again", items=damaged[:10])
        port = self.port if self._gateway is not None else None
        logger.info("ready", port=port, recovered=folded, program=self.runtime.program.version)
        return self

    def _mounts(self) -> list[Routes]:
        """Give the routes that need more than the runtime."""
        mounts: list[Routes] = [lambda host: hooks.routes(host, self._reception)]
        signer = Signer.from_environment(self._environ)
        box = find_inbox(self.channels)
        if box is not None:
            mounts.append(lambda host: inbox.routes(host, box, signer))
        if box is not None and desk_shelf(self.runtime.program).names:
            ring = KeyRing(hash_keys(self._environ.get(DESK_KEYS, "")))
            mounts.append(lambda host: desk.routes(host, box, ring))
        lines = find_lines(self.channels)
        if lines:
            mounts.append(lambda host: ussd.routes(host, lines))
        if signer is not None:
            mounts.append(lambda host: unsubscribe.routes(host, signer))
            mounts.append(lambda host: confirm.routes(host, signer))
            mounts.append(lambda host: centre.routes(host, signer))
            mounts.append(lambda host: tracking.routes(host, signer))
        return mounts

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening, finish what was taken, close."""
        self._lag.stop()
        await self._sweeper.stop()
        # Both at once, so that a client in the middle of a request and a provider that is slow do
        # not add up; with a broken store what a provider says could not be written down.
        patience_ms = 0 if self.store.broken else PROVIDERS_MS
        ending: list[Awaitable[object]] = [self.runtime.drain(patience_ms)]
        if self._gateway is not None:
            ending.append(self._gateway.stop())
        await asyncio.gather(*ending)
        await self.runtime.stop(STORE_S)
        await self._wire.close()

    async def use(self, workspace: Workspace) -> None:
        """Decide by a workspace from now on; people in its older journeys finish them.

        Raises ProgramError where it asks for channels that were not made at start.
        """
        program, pace = workspace.program, workspace.pace()
        self._check_channels(workspace)
        try:
            check_links(program, self._environ)
            check_calls(program, self._environ)
        except ProgramError as error:
            raise workspace.locate(error) from None
        try:
            registries = await asyncio.to_thread(
                load_registries, program, workspace.folder, self._environ
            )
        except ProgramError as error:
            raise workspace.locate(error) from None
        await self._warm(program)
        archive = await self._archive(program)
        await self._note(program)
        await self.store.save_program(program.version, self.runtime.clock.now(), workspace.source)
        self.runtime.scrubber.use(registries)
        self.runtime.use(program.with_archive(archive))
        mark(program.pii)
        self._sweeper.retention = program.retention
        self.runtime.outbox.repace(pace)
        self._workspace = workspace

    async def _note(self, program: Program) -> None:
        """Write down that another workspace comes into force than the one that was."""
        latest = await self.store.acts(ActQuery(act=_CHANGED, limit=1))
        before = latest[0].subject if latest else ""
        if before != program.version:
            detail = f"{program.name}; before: {before or 'none'}"
            await self.runtime.note_act(OPERATOR, _CHANGED, program.version, detail)

    async def _warm(self, program: Program) -> None:
        """Build the calendars of the countries a workspace names, before anybody waits for them.

        In a thread: thirty countries take half a second, and a server that reads its workspace
        again has requests to answer meanwhile.

        Those of another country cost its first customer a few milliseconds.
        """
        year = datetime.fromtimestamp(self.runtime.clock.now() / SECOND_MS, UTC).year
        await asyncio.to_thread(warm, countries_of(program), range(year, year + 2))

    def _check_channels(self, workspace: Workspace) -> None:
        """Refuse channels that are not there as asked: what was sent to them would be lost."""
        hint = "start again to use it; windows, caps and journeys can change while running"
        problems: list[Problem] = []
        for name, channel in workspace.program.channels.items():
            made = self._made.get(name)
            if made is None:
                problems.append(Problem(f"channels.{name}", "this channel is new", hint))
            elif _carriers(made) != _carriers(channel):
                message = "another adapter or other settings than at start"
                problems.append(Problem(f"channels.{name}", message, hint))
        if problems:
            raise workspace.locate(ProgramError(problems))

    async def _archive(self, program: Program) -> dict[str, Journey]:
        """Compile the journeys of earlier workspaces, by version."""

        def warn(version: str, error: ProgramError) -> None:
            words = "an earlier workspace no longer compiles"
            logger.warning(words, version=version, error=str(error))

        programs = await self.store.programs()
        earlier = ((version, text) for version, _, text in programs if version != program.version)
        return compile_earlier(earlier, warn)


def _carriers(channel: ChannelProgram) -> tuple[object, ...]:
    """Give what a channel's providers were made from."""
    return channel.adapter, channel.settings, channel.backup


def tell_of_provider(standing: Standing) -> None:
    """Log that a provider is given up on, or is well again: once each time."""
    fields = {"channel": standing.channel, "provider": standing.provider}
    if not standing.cause:
        logger.info("a provider takes messages again", **fields)
    elif standing.cause == Failure.CONFIG:
        logger.error("a provider refuses us: mend its account or our settings", **fields)
    else:
        logger.warning("a provider is down; its messages wait", **fields)


def tune_interpreter() -> None:
    """Set the interpreter up for a server that holds many small objects."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def run_server(workspace: Path, data: Path, *, host: str, port: int) -> None:
    """Serve a workspace until the process is told to stop; SIGHUP reads the workspace again.

    Raises ProgramError when the workspace has faults at start. A fault found later is logged, and
    what ran goes on running. Raises StoreError when the store can't take anything more: whoever
    supervises the process is to start it again, and it recovers from what is on the disk.
    """
    settings = GatewaySettings.from_environment(os.environ, host=host, port=port)
    loaded = open_workspace(workspace)
    uvloop.run(_serve(workspace, loaded, data, settings))


async def _serve(folder: Path, loaded: Workspace, data: Path, settings: GatewaySettings) -> None:
    loop = asyncio.get_running_loop()
    stop, again = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    async with App(loaded, data, settings) as app:
        tune_interpreter()
        tasks = (
            asyncio.create_task(_reload(app, folder, again)),
            asyncio.create_task(_watch_store(app.store, stop)),
        )
        await stop.wait()
        for task in tasks:
            task.cancel()
        broken = app.store.broken
        if broken:
            logger.critical("the store is broken; stopping, start again to recover", reason=broken)
        else:
            logger.info("stopping")
    if broken:
        raise StoreError(broken)


async def _watch_store(store: Store, stop: asyncio.Event) -> None:
    """Stop a server whose store can't be trusted: after a failed fsync only the disk knows."""
    while not store.broken:  # noqa: ASYNC110 - it breaks in the writer's thread, which has no loop
        await asyncio.sleep(WATCH_EVERY_S)
    stop.set()


async def _reload(app: App, folder: Path, again: asyncio.Event) -> None:
    while True:
        await again.wait()
        again.clear()
        try:
            await app.use(open_workspace(folder))
            logger.info("workspace replaced", program=app.runtime.program.version)
        except (NextbeatError, OSError) as error:
            problems = error.problems if isinstance(error, ProgramError) else [error]
            told = [str(problem) for problem in problems]
            logger.error("workspace refused; the one before goes on", problems=told)  # noqa: TRY400
