"""What may be spent on messages in a day, by channel and in all.

`actors.outbox` sets a message's cost aside before its provider is asked, and gives it back where
the provider surely did not take it. What it set aside becomes durable with the message's state;
the runtime reads it back at start.

*Rules*
- A day is one of the workspace's own calendar. What is given back goes to the day it came from.
- Nothing is spent beyond a budget, however many messages are on their way at once. In whole
  millionths of the currency, so that a day of small prices adds up exactly.
- A message whose outcome is not known has been paid for.
"""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

import msgspec

from actors.rows import Spent
from engine.localtime import day_start, local_parts, next_day_start, zone
from engine.program.program import Program

MICROS = 1_000_000


class Prices(msgspec.Struct, frozen=True):
    """What messages cost and what may be spent in a day, in millionths of the currency."""

    costs: Mapping[str, int] = {}  # of a message, by channel
    budgets: Mapping[str, int] = {}  # by channel
    budget: int | None = None  # of all channels together
    timezone: str = "UTC"


def read_prices(program: Program) -> Prices:
    """Find the prices in a program."""
    channels = program.channels.values()
    return Prices(
        {one.name: _micros(one.cost) for one in channels if one.cost},
        {one.name: _micros(one.budget) for one in channels if one.budget is not None},
        None if program.budget is None else _micros(program.budget),
        program.defaults.timezone,
    )


def _micros(amount: float) -> int:
    return round(amount * MICROS)


class Purse:
    """What was spent today, and whether there is enough left."""

    def __init__(self, prices: Prices | None = None) -> None:
        self.spent: dict[str, int] = {}  # today, by channel
        self.total = 0
        self._from_at = self._until_at = 0
        self._day = 0
        self.use(prices or Prices())

    def use(self, prices: Prices) -> None:
        """Count by other prices from now on. What was spent stays spent."""
        self.prices = prices
        found = zone(prices.timezone)
        self._zone = ZoneInfo("UTC") if found is None else found
        self._until_at = 0  # which day it is has to be found out anew

    def day(self, now: int) -> int:
        """Tell which day it is, as days since 1970-01-01; with a new one the purse is full."""
        if not self._from_at <= now < self._until_at:
            self._from_at = day_start(self._zone, now)
            self._until_at = next_day_start(self._zone, now)
            day = local_parts(self._zone, now)[2]
            if day != self._day:
                self._day, self.total = day, 0
                self.spent.clear()
        return self._day

    def recall(self, spent: Mapping[str, int], now: int) -> None:
        """Take up what had been spent today before the process began."""
        self.day(now)
        self.spent = dict(spent)
        self.total = sum(spent.values())

    def affords(self, channel: str, now: int) -> bool:
        """Say whether a message may still be paid for."""
        prices = self.prices
        cost = prices.costs.get(channel)
        if cost is None:
            return True
        self.day(now)
        budget = prices.budgets.get(channel)
        is_enough = budget is None or self.spent.get(channel, 0) + cost <= budget
        return is_enough and (prices.budget is None or self.total + cost <= prices.budget)

    def pay(self, channel: str, now: int) -> Spent | None:
        """Set a message's cost aside; None where it costs nothing."""
        cost = self.prices.costs.get(channel)
        if cost is None:
            return None
        paid = Spent(channel, self.day(now), cost)
        self._add(paid)
        return paid

    def give_back(self, paid: Spent) -> Spent:
        """Take back what was set aside; gives what to write down."""
        back = paid._replace(micros=-paid.micros)
        if back.day == self._day:
            self._add(back)
        return back

    def _add(self, spent: Spent) -> None:
        self.spent[spent.channel] = self.spent.get(spent.channel, 0) + spent.micros
        self.total += spent.micros
