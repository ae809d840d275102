"""What may go wrong, when it does, and how often it did.

One `Hazards` is shared by the disk, the providers, the clients and the operator of a simulation.
Every step of the outside world a process depends on is an operation with a number; a crash is
placed at a number, not at an instant: at random instants crashes find next to nothing.
"""

from collections.abc import Callable, Collection, Iterable

from actors.simulate.dice import Dice
from actors.simulate.loop import SimLoop

# Each fault with how often it happens where it can.
FAULTS = {
    "crash": 0.0,  # placed by operation numbers
    "slow": 0.03,  # a commit takes seconds
    "eio": 0.01,  # a sync fails: nothing more until the store is opened anew
    "enospc": 0.02,  # the disk is full for a while; reads go on
    "read": 0.01,  # a read fails
    "timeout": 0.06,  # a provider takes a message and does not answer
    "lost": 0.04,  # a provider does not answer, and has not taken the message
    "throttle": 0.06,  # 429 with a time to wait
    "refuse": 0.05,  # 5xx
    "bounce": 0.08,  # refused for good, at once or by a receipt
    "late": 0.15,  # a receipt comes hours later
    "doubled": 0.2,  # a receipt comes twice
    "forged": 0.08,  # a receipt speaks of a message there never was
    "unsubscribe": 0.06,  # a receipt ends consent
    "duplicate": 0.12,  # a client sends again what was acknowledged
    "reorder": 0.15,  # a client sends the next before the answer to the last
    "disconnect": 0.10,  # a client is gone before its answer, and asks again
    "withdraw": 0.15,  # a customer takes consent back, or gives it again
    "erase": 0.04,  # a customer is erased, and an event of before comes once more
    "overtake": 0.5,  # a visitor is known before their first event is acknowledged
    "restart": 0.01,  # the process is stopped and started, under load or by the operator
    "step": 0.0,  # the clock is set; from here on: by the operator, a few times in a run
    "merge": 0.0,
    "part": 0.0,
    "reload": 0.0,  # another version of the workspace comes into force
}
CALM: frozenset[str] = frozenset()
EVERY = frozenset(FAULTS)


class Hazards:
    """Decides what goes wrong, and counts it."""

    def __init__(self, loop: SimLoop, dice: Dice, allowed: Collection[str]) -> None:
        self._loop = loop
        self._dice = dice
        self._allowed = allowed
        self.fired: dict[str, int] = {}
        self.operations = 0
        self.is_over = False  # faults have stopped
        self.is_paused = False  # the checker looks
        self.crash_at: list[int] = []  # operation numbers, ascending
        self.crash: Callable[[], None] = _nothing

    def strikes(self, fault: str, factor: float = 1.0) -> bool:
        """Say whether a fault happens now, and count it."""
        if not self.allows(fault) or not self._dice.chance(FAULTS[fault] * factor):
            return False
        self.note(fault)
        return True

    def allows(self, fault: str) -> bool:
        """Say whether a fault may happen at all."""
        return not (self.is_over or self.is_paused) and fault in self._allowed

    def note(self, fault: str) -> None:
        """Count a fault that happened."""
        self.fired[fault] = self.fired.get(fault, 0) + 1

    def aim(self, share: float) -> None:
        """Place a crash close to now, where it matters more than elsewhere."""
        if self.allows("crash") and self._dice.chance(share):
            self.crash_at.insert(0, self.operations + self._dice.among(1, 8))

    async def operate(self) -> None:
        """Do one operation of the outside world; the process may not live to see its end."""
        if self.is_paused:
            return
        self.operations += 1
        if self.crash_at and self.operations >= self.crash_at[0]:
            del self.crash_at[0]
            if self.allows("crash"):
                self.note("crash")
                self.crash()
                await self._loop.create_future()  # for ever: whoever asked is dead


def _nothing() -> None:
    """Crash nobody."""


def read_faults(text: str) -> frozenset[str]:
    """Read `all`, `none` or a list of names. Raises ValueError with the name that is unknown."""
    if text == "all":
        return EVERY
    names = [] if text == "none" else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FAULTS:
            raise ValueError(name)
    return frozenset(names)


def describe(fired: Iterable[tuple[str, int]]) -> str:
    """Write down what went wrong how often."""
    return ", ".join(f"{name} {count}" for name, count in fired) or "none"
