"""One simulation: processes that live and die on one disk, and everybody who deals with them.

Called by `nextbeat sim` and by tests, through `simulate`. The real runtime runs here, and nothing
of it outlives a crash but what is durable.

*Rules*
- One seed makes one run, on every Python and with every hash seed: all chance comes from one
  generator, all order from the loop.
- Everything is checked after each recovery and at the end; the first thing that must not be ends
  the run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from typing import Any

import msgspec

from actors.lanes import Pacing
from actors.partings import Partings
from actors.ports import Channel
from actors.runtime import Runtime, Settings
from actors.simulate.asking import ask_to_erase, ask_who_is_who, retrieve, see_through
from actors.simulate.checks import Auditor
from actors.simulate.clock import MachineClock, ProcessClock
from actors.simulate.dice import Dice
from actors.simulate.disk import SimStore
from actors.simulate.hazards import EVERY, Hazards
from actors.simulate.loop import PROCESS, DeadlockError, SimLoop, run_in
from actors.simulate.people import Person
from actors.simulate.provider import SimProvider
from actors.simulate.scene import CHANNELS, ORIGINS, Scene, load_scene
from actors.simulate.witness import Witness
from actors.timers import HORIZON_MS
from engine.errors import OverloadError, StoreError
from engine.events import Event, Input, Receipt
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, parse_instant

_NEVER = 1 << 60
_STEPS_MS = (-3 * HOUR_MS, -20 * MINUTE_MS, -SECOND_MS, 7 * MINUTE_MS, 2 * HOUR_MS)
_CALM_S = 6 * 3_600.0  # within so long after the last fault everything due has drained
_STOP_S = 0.5  # of a stop that the full disk holds up
_RESTS_MAX = 60
_REST_S = 90.0
_PATIENCE_S = 180.0  # how long a client waits for an answer
_CRASH_COUNT_MAX = 5
_PEOPLE = (1, 1, 2, 2, 2, 3, 3, 4, 12)


class Plan(msgspec.Struct, frozen=True):
    """What to simulate. No `people`: as many as the seed says; `crash_at` are operation numbers."""

    seed: int
    days: float = 1.0
    faults: frozenset[str] = EVERY
    people: int = 0
    crash_at: tuple[int, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """What happened in a run; `violation` is the first thing that must not be, or ""."""

    seed: int
    days: float
    events: int
    entries: int
    decisions: int
    sends: int
    crashes: int
    recoveries: int
    operations: int
    fired: dict[str, int]
    trace: str
    violation: str


class Process:
    """One life of the runtime, from its start to its stop or its crash."""

    def __init__(self, world: "World", number: int, store: SimStore) -> None:
        self.number = number
        self.store = store
        self.clock = ProcessClock(world.loop, world.machine, self._due)
        world.loop.idle, world.loop.wake = self.clock.idle_at, self.clock.wake
        self.ended: asyncio.Future[None] = world.loop.create_future()
        self.is_up = False
        self.is_over = False
        self.waiting: dict[asyncio.Future[None], str] = {}  # whom it owes an answer
        self.context: Context = copy_context()
        self.context.run(PROCESS.set, number)
        self.runtime = Runtime(
            store,
            self.clock,
            world.program,
            world.channels,
            settings=world.settings,
            pacing=world.pacing,
        )

    def _due(self) -> int:
        """Tell when the runtime's timers have something to do."""
        timers = self.runtime.timers
        at = timers.next_at()
        later = self.store.seen.next_wake(timers.horizon_at)
        due = _NEVER if at is None else at
        return min(due, _NEVER if later is None else later - HORIZON_MS // 2 + 1)

    def end(self) -> None:
        """Note that this life is over."""
        self.is_up = False
        if not self.ended.done():
            self.ended.set_result(None)


class World:
    """Everything in one simulation."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.dice = dice = Dice(plan.seed)
        self.loop = SimLoop(dice)
        self.scene: Scene = load_scene()
        self.machine = MachineClock(self.loop, parse_instant(dice.pick(ORIGINS)))
        self.hazards = Hazards(self.loop, dice, plan.faults)
        self.witness = Witness(self.loop)
        self.program = self.scene.programs[0]
        self.settings = Settings(
            queue_max=dice.pick((2, 50, 50_000)),
            snapshot_after_ms=dice.pick((0, 10_000, 600_000)),
            memory_bytes_max=dice.pick((1, 128 * 1024 * 1024)),
            nap_ms=5_000,  # while the disk is full, due timers are looked at this often
            house_ms=300_000,
        )
        slow = Pacing(rate_per_second=dice.pick((0.002, 0.01))) if dice.chance(0.4) else Pacing()
        self.pacing: dict[str, Pacing] = dict.fromkeys(CHANNELS, slow)
        store = SimStore(dice, self.hazards)
        self.channels: dict[str, Channel] = {name: self._provider(store) for name in CHANNELS}
        self.auditor = Auditor(self.scene, self.witness, self.hazards)
        self.process: Process | None = None
        self._store = store
        self._outside = copy_context()  # what a process sets off outside is not the process'
        self._process_count = 0
        self._crash_count = 0
        self._open: dict[asyncio.Task[None], None] = {}  # what people have under way
        self._place_crashes()

    def _provider(self, store: SimStore) -> SimProvider:
        return SimProvider(
            self.dice,
            self.hazards,
            self.witness,
            store.seen,
            post=self._post,
            now=self.machine.now,
            at_least_once=self.scene.at_least_once,
        )

    def _place_crashes(self) -> None:
        dice, hazards = self.dice, self.hazards
        hazards.crash = self._crash
        hazards.crash_at = list(self.plan.crash_at)
        if not hazards.crash_at and hazards.allows("crash"):
            reach = dice.pick((40, 150, 600))
            places = (1 + dice.below(reach) for _ in range(dice.among(1, _CRASH_COUNT_MAX)))
            hazards.crash_at = sorted(places)

    # The whole run.

    async def run(self) -> None:
        """Live through the plan, let everything calm down, and check."""
        dice = self.dice
        keeper = self.spawn(self._keep_alive())
        people = [self._person(number) for number in range(self.plan.people or dice.pick(_PEOPLE))]
        rush_s = dice.span(0, self.plan.days * DAY_MS / SECOND_MS)
        lives = [self.spawn(person.live(self.plan.days, rush_s)) for person in people]
        self.spawn(self._operate())
        for life in lives:
            await life
        while self._open:
            await asyncio.wait(list(self._open))
            await asyncio.sleep(1.0)
        self.hazards.is_over = True
        await asyncio.sleep(_CALM_S)
        keeper.cancel()
        await self._finish()

    def spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Have somebody outside do something."""
        return self._outside.run(self.loop.create_task, see_through(work))

    def _person(self, number: int) -> Person:
        return Person(
            f"c{number}",
            self.dice,
            self.hazards,
            deliver=self.deliver,
            erase=self.erase,
            now=self.machine.now,
            spawn=self._undertake,
        )

    def _undertake(self, work: Awaitable[None]) -> None:
        task = self.spawn(work)
        self._open[task] = None
        task.add_done_callback(self._open.pop)

    # Processes.

    async def _keep_alive(self) -> None:
        """Start a process, and another whenever one has ended."""
        while not self.witness.blame:
            process = await self._start()
            if process is not None:
                await asyncio.wait([process.ended])
            await asyncio.sleep(self.dice.span(0.1, 20.0))

    async def _start(self) -> Process | None:
        self._process_count += 1
        process = Process(self, self._process_count, self._store)
        self.process = process
        task = process.context.run(self.loop.create_task, self._bring_up(process))
        while not (task.done() or process.ended.done()):
            await asyncio.wait([task, process.ended], return_when=asyncio.FIRST_COMPLETED)
        if process.is_up:
            return process
        if not process.ended.done():  # a read failed: it gives up and is started again
            await self._end(process)
        return None

    async def _bring_up(self, process: Process) -> None:
        runtime = process.runtime
        try:
            await runtime.open()
            self.witness.ended |= self._store.seen.gone_messages
            await self.auditor.check(process.store, runtime)
            await runtime.start()
        except StoreError as error:
            self.witness.note("no start", error)
            return
        process.is_up = True
        self.witness.note("up", process.number)
        process.context.run(self.loop.create_task, self._watch(process))

    async def _watch(self, process: Process) -> None:
        """Stop a process whose store is broken, as the product does."""
        await process.store.breaking.wait()
        await asyncio.sleep(1.0)
        self.spawn(self._restart(process))

    def _crash(self) -> None:
        """End the process here and now."""
        process = self.process
        assert process is not None
        self._crash_count += 1
        self.witness.note("crash", self.hazards.operations)
        process.is_up = False
        self.spawn(self._end(process))

    async def _end(self, process: Process) -> None:
        if process.is_over:
            return
        process.is_over = True
        process.is_up = False
        self.loop.kill(process.number)
        self._store = await process.store.survivor()
        process.end()

    async def _restart(self, process: Process) -> None:
        """Stop a process properly; everybody must have an answer then."""
        if not process.is_up:
            return
        process.is_up = False
        self.hazards.aim(0.1)
        self.witness.note("stop", process.number)
        stopped = process.context.run(self.loop.create_task, process.runtime.stop(_STOP_S))
        while not (stopped.done() or process.ended.done()):
            await asyncio.wait([stopped, process.ended], return_when=asyncio.FIRST_COMPLETED)
        if process.ended.done():
            return  # it crashed while it stopped
        self._check_answers(process)
        await self._end(process)

    def _check_answers(self, process: Process) -> None:
        for future, name in process.waiting.items():
            if not future.done():
                self.witness.accuse("nobody is left without an answer", name)

    # The operator.

    async def _operate(self) -> None:
        """Restart, replace the workspace and set the clock, a few times."""
        dice, hazards = self.dice, self.hazards
        span_s = self.plan.days * DAY_MS / SECOND_MS
        while not hazards.is_over:
            await asyncio.sleep(dice.span(0.05, 0.5) * span_s)
            act = dice.pick(("step", "restart", "reload", "merge", "part"))
            if not hazards.allows(act):
                continue
            hazards.note(act)
            if act == "step":
                self.machine.set_by(dice.pick(_STEPS_MS))
            elif act == "restart" and self.process is not None:
                await self._restart(self.process)
            elif act == "reload":
                self._reload()
            elif act == "merge":
                await self._say_same()
            elif act == "part":
                await self._say_apart()

    async def _say_same(self) -> None:
        """Have two customers merged who may be anybody."""
        names = list(dict.fromkeys(self._store.seen.taken.values()))
        if len(names) > 1:
            one, other = self.dice.pick(names), self.dice.pick(names)
            self.hazards.aim(0.3)
            await self._ask(lambda partings: partings.merge(one, other))

    async def _say_apart(self) -> None:
        """Have two customers parted who were merged."""
        seen = self._store.seen
        if seen.became:
            other = self.dice.pick(list(seen.became))
            self.hazards.aim(0.3)
            await self._ask(lambda partings: partings.unmerge(seen.became[other], other))

    async def _ask(self, said: Callable[[Partings], Coroutine[Any, Any, None]]) -> None:
        """Ask once for a merge or a parting; it is granted, or not."""
        process = self.process
        if process is None or not process.is_up:
            return
        work = ask_who_is_who(said(process.runtime.partings))
        asked: asyncio.Task[str] = process.context.run(self.loop.create_task, work)
        ends: list[asyncio.Future[Any]] = [asked, process.ended]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=_PATIENCE_S)
        if asked.done() and not asked.cancelled():
            self.witness.note("said", asked.result())

    def _reload(self) -> None:
        self.program = self.dice.pick(self.scene.programs)
        if self.process is not None and self.process.is_up:
            self.process.runtime.use(self.program)

    # Sending until it is acknowledged.

    async def deliver(self, inputs: Sequence[Input]) -> None:
        """Send inputs, again and again, until they are acknowledged."""
        while not await self._try(inputs):  # noqa: ASYNC110 - a retry waits, as clients do
            await asyncio.sleep(self.dice.span(0.5, 30.0))
        for given in inputs:
            self._acknowledge(given)

    async def _try(self, inputs: Sequence[Input]) -> bool:
        """Send inputs once; says whether they were acknowledged."""
        process = self.process
        if process is None or not process.is_up:
            return False
        try:
            answered = process.context.run(process.runtime.submit, inputs)
        except OverloadError:
            self.hazards.note("overload")
            return False
        assert isinstance(inputs[0], (Event, Receipt))
        process.waiting[answered] = inputs[0].id
        answered.add_done_callback(retrieve)
        if self.hazards.strikes("restart"):
            self.spawn(self._restart(process))
        if self.hazards.strikes("disconnect"):
            await asyncio.sleep(self.dice.span(0.0, 0.01))
            return False
        await asyncio.wait(
            [answered, process.ended], return_when=asyncio.FIRST_COMPLETED, timeout=_PATIENCE_S
        )
        is_told = not process.ended.done() and process is self.process
        if not answered.done():
            return False  # it is owed an answer all the same
        del process.waiting[answered]
        return is_told and answered.exception() is None

    def _acknowledge(self, given: Input) -> None:
        assert isinstance(given, (Event, Receipt))
        witness, seen = self.witness, self._store.seen
        witness.note("acknowledged", given.id)
        witness.acknowledged[given.id] = witness.acknowledged.get(given.id, 0) + 1
        witness.inputs[given.id] = given
        if seen.refuses(given):
            return
        if isinstance(given, Event):
            if given.user and given.anonymous and not seen.has_link(given.anonymous, given.user):
                witness.accuse("each acknowledged link is durable", given.anonymous)
            if not (given.consents or given.traits or given.anonymous):
                return
        customer = seen.who(seen.taken.get(given.id, str(given.user)))
        for name in seen.names(customer):
            for channel in CHANNELS:
                if seen.is_no(customer, channel):
                    witness.closed[name, channel] = 1
                else:
                    witness.closed.pop((name, channel), None)

    async def erase(self, name: str) -> None:
        """Ask for a customer to be erased, again and again, until that is answered."""
        while not await self._try_to_erase(name):  # noqa: ASYNC110 - as in `deliver`
            await asyncio.sleep(self.dice.span(0.5, 30.0))
        self.witness.note("erased", name)
        self.witness.ended |= self._store.seen.gone_messages

    async def _try_to_erase(self, name: str) -> bool:
        process = self.process
        if process is None or not process.is_up:
            return False
        work = ask_to_erase(process.runtime, name)
        asked: asyncio.Task[bool] = process.context.run(self.loop.create_task, work)
        ends: list[asyncio.Future[Any]] = [asked, process.ended]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=_PATIENCE_S)
        is_told = asked.done() and not process.ended.done() and process is self.process
        return is_told and not asked.cancelled() and asked.result()

    def _post(self, receipt: Receipt, after_s: float) -> None:
        self._undertake(self._bring(receipt, after_s))

    async def _bring(self, receipt: Receipt, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self.deliver([receipt])

    # The end.

    async def _finish(self) -> None:
        """Check that all has drained, stop, and check what is left on disk."""
        process = self.process
        if process is None or not process.is_up:
            self.witness.accuse("it runs when faults have stopped")
            return
        await self._come_to_rest(process)
        await self.auditor.check_drained(process.store, process.runtime, self.machine.now())
        await self._restart(process)
        last = Process(self, self._process_count + 1, self._store)
        await last.runtime.open()
        await self.auditor.check(last.store, last.runtime)
        await last.store.close()

    async def _come_to_rest(self, process: Process) -> None:
        """Wait for a moment at which nothing is under way and nothing is just about to be due."""
        for _ in range(_RESTS_MAX):
            before = process.runtime.gauges()
            await asyncio.sleep(_REST_S)
            after = process.runtime.gauges()
            is_quiet = not (after["mailbox_depth"] or after["outbox_depth"])
            now = self.machine.now()
            next_at = process.store.seen.next_wake(now)
            is_near = next_at is not None and next_at < now + MINUTE_MS
            if is_quiet and not is_near and before["journal_seq"] == after["journal_seq"]:
                return


def simulate(plan: Plan) -> Report:
    """Run one simulation and tell what happened."""
    world = World(plan)
    violation = ""
    try:
        run_in(world.loop, _watched(world))
    except (DeadlockError, AssertionError) as error:
        violation = f"{type(error).__name__}: {error}"
    return _report(world, violation)


async def _watched(world: World) -> None:
    """Run until the end, or until something is seen that must not be."""
    loop, witness = world.loop, world.witness
    main = loop.create_task(world.run())
    while not (main.done() or witness.blame or loop.troubles):
        await asyncio.wait([main], timeout=1_800.0)
        for failure in loop.take_failures():
            witness.accuse("no task fails", failure)
    for trouble in loop.troubles:
        witness.accuse("no callback fails", trouble)
    loop.kill_all()
    for _ in range(20):
        await asyncio.sleep(0)


def _report(world: World, violation: str) -> Report:
    witness, hazards, auditor = world.witness, world.hazards, world.auditor
    return Report(
        seed=world.plan.seed,
        days=world.plan.days,
        events=len(witness.acknowledged),
        entries=auditor.entry_count,
        decisions=auditor.decision_count,
        sends=len(witness.taken),
        crashes=hazards.fired.get("crash", 0),
        recoveries=auditor.check_count,
        operations=hazards.operations,
        fired=dict(sorted(hazards.fired.items())),
        trace=witness.trace(),
        violation=violation or (witness.blame[0] if witness.blame else ""),
    )
