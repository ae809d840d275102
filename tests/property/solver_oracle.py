"""A slow and obviously correct answer to "may this be sent at this instant, and if not, when?"

It shares nothing with the engine. Every rule is a question that can be asked of one instant, with
the moments at which its answer may turn from no to yes. The earliest instant is found by asking all
rules at now, at each of those moments up to 400 days later, and at many instants between them.
"""

from collections.abc import Iterator
from itertools import chain

from tests.property.solver_question import World
from tests.property.solver_rules import RULES
from tests.property.solver_terms import DAY, MINUTE, shown

HORIZON = 400 * DAY

# Within so long of now the rules are asked at every minute, beyond it a few times a day.
MINUTELY = 180
DAILY = 6


class Oracle:
    """Asks every rule of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rules = [rule for find in RULES for rule in find(world)]

    def blocked_by(self, at: int) -> tuple[str, ...]:
        """Name the rules that stand in the way at an instant."""
        return tuple(rule.name for rule in self.rules if rule.blocks(at))

    def is_blocked(self, at: int) -> bool:
        return any(rule.blocks(at) for rule in self.rules)

    def earliest(self) -> int | None:
        """Find the first instant from now on, of 400 days, at which no rule stands in the way."""
        for at in self.instants():
            if not self.is_blocked(at):
                return at
        return None

    def instants(self) -> Iterator[int]:
        """Give instants from now on, ascending: whenever a rule may let go, and many between."""
        now = self.world.now
        end = min(
            [now + HORIZON, *(one.shuts_at for one in self.rules if one.shuts_at is not None)]
        )
        if self.world.expires_at is not None:
            end = min(end, self.world.expires_at)
        frees = sorted({at for rule in self.rules for at in rule.frees_at if now < at <= end})
        edges = frozenset(chain.from_iterable(rule.edges for rule in self.rules))
        if now < end:
            yield now
        for midnight in range(now - now % DAY, end + 1, DAY):
            found = {*frees, *_grid(now, midnight)}
            for zone in self.world.zones if edges else ():
                found.update(shown(zone, midnight, edges))
            first, last = max(now + 1, midnight), min(end, midnight + DAY)
            yield from sorted(at for at in found if first <= at < last)


def _grid(now: int, midnight: int) -> Iterator[int]:
    yield from range(midnight + now % 7_919_311, midnight + DAY, DAY // DAILY)
    if midnight < now + MINUTELY * MINUTE:
        first = max(midnight, now - now % MINUTE)
        yield from range(first, min(midnight + DAY, now + MINUTELY * MINUTE), MINUTE)
