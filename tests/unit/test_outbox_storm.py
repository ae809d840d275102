"""Very many messages by a provider that fails a fifth of the time and hangs a twentieth of it."""

from collections import Counter

import pytest

from actors.breakers import BreakerState
from actors.endings import OutboxState
from actors.lanes import Pacing
from actors.memory import VirtualClock
from actors.ports import Temporary
from engine.effects import Send
from engine.ids import stable_hash
from tests.outgoing import Outgoing, a_send

FAILS, HANGS = 20, 5  # of a hundred attempts
OF_CUSTOMER = 5
DONE = {state.value for state in OutboxState} - {"queued", "dispatching"}


class Stormy:
    """Knows messages by their ids; half of what hangs was taken all the same."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.taken: list[str] = []  # in order, each once
        self.known: dict[str, int] = {}  # by id: how often it came after it was taken
        self.calls: Counter[str] = Counter()

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, send: Send) -> str:
        name = send.message_id
        self.calls[name] += 1
        await self.clock.sleep_until(self.clock.now() + 1)
        dice = stable_hash("storm", name, str(self.calls[name]))
        fate = int.from_bytes(dice[:4], "big") % 100
        if fate < FAILS:
            raise Temporary("busy")
        if fate >= FAILS + HANGS or dice[7] % 2:
            if name not in self.known:
                self.taken.append(name)
            self.known[name] = self.known.get(name, -1) + 1
        if fate < FAILS + HANGS:
            raise TimeoutError
        return f"p-{name}"


@pytest.mark.parametrize("at_least_once", [False, True], ids=["at most once", "at least once"])
@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.long)])
async def test_each_message_ends_with_a_name_none_is_there_twice_and_all_in_order(
    count: int, *, at_least_once: bool
) -> None:
    world = Outgoing(
        is_hasty=True,
        is_backed=False,
        at_least_once=at_least_once,
        email=Pacing(concurrency=64),
    )
    provider = Stormy(world.clock)
    world.provide("email", provider)
    sends = [a_send(f"m{number}", f"u{number // OF_CUSTOMER}") for number in range(count)]
    world.outbox.offer(sends)
    await world.outbox.settle()

    ends = {change.message_id: change.state for change in world.changes}
    assert len(ends) == count
    assert set(ends.values()) <= DONE
    assert Counter(told.message for told in world.receipts) == Counter(ends.keys())
    assert world.outbox.depth() == 0

    states = Counter(ends.values())
    if at_least_once:
        assert states == {"sent": count}
        assert len(provider.taken) == count
    else:
        assert set(states) == {"sent", "in_doubt"}
        assert max(provider.known.values()) == 0  # not even repeated
        in_doubt = {name for name, state in ends.items() if state == "in_doubt"}
        hung_and_taken = in_doubt & provider.known.keys()
        assert len(provider.taken) == states["sent"] + len(hung_and_taken)
        assert 0.4 < len(hung_and_taken) / len(in_doubt) < 0.6
    assert len(set(provider.taken)) == len(provider.taken)

    places: dict[int, int] = {}
    for name in provider.taken:
        number = int(name[1:])
        customer = number // OF_CUSTOMER
        assert places.get(customer, -1) < number, name
        places[customer] = number
    assert world.outbox.standings()[0].state is BreakerState.CLOSED
