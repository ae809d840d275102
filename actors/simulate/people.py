"""Clients and customers: who does what when, and the way to send it until it is acknowledged.

Made by `world`. Clients are at-least-once senders, as all SDKs are: without an answer they send the
same again under the same id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from actors.simulate.dice import Dice
from actors.simulate.hazards import Hazards
from actors.simulate.scene import CHANNELS, EVENTS, MARKETING, ZONES
from engine.events import ConsentStatement, ConsentStatus, Event, EventKind, Input
from engine.instants import DAY_MS, MINUTE_MS, SECOND_MS

Deliver = Callable[[Sequence[Input]], Awaitable[None]]  # until it is acknowledged
_SHARED = "a-shared"  # a device everybody uses
_DAY_S = DAY_MS / SECOND_MS


class Person:
    """One customer with an app that reports what they do."""

    def __init__(  # noqa: PLR0913 - the parts of the world they live in
        self,
        name: str,
        dice: Dice,
        hazards: Hazards,
        *,
        deliver: Deliver,
        erase: Callable[[str], Awaitable[None]],
        now: Callable[[], int],
        spawn: Callable[[Awaitable[None]], None],
    ) -> None:
        self.name = name
        self._dice = dice
        self._hazards = hazards
        self._deliver = deliver
        self._erase = erase
        self._now = now
        self._spawn = spawn
        self._count = 0
        self._devices = [f"a-{name}", f"a-{name}-2", _SHARED]

    async def live(self, days: float, rush_s: float) -> None:
        """Introduce themselves, then do things for so many days; at `rush_s` everybody does."""
        dice = self._dice
        is_visitor = dice.chance(0.3)
        if is_visitor:
            await self._visit(self._devices[0])
        await self._deliver([self._introduce(is_visitor=is_visitor)])
        count = dice.among(3, 6) + int(3 * days)
        pauses = sorted([rush_s, *(dice.span(0, days * _DAY_S) for _ in range(count))])
        passed = 0.0
        for pause in pauses:
            # Some come in bursts: what is interesting happens at one time.
            if pause != rush_s and dice.chance(0.3):
                await self._act()
                continue
            await asyncio.sleep(max(0.0, pause - passed))
            passed = pause
            if pause != rush_s and dice.chance(0.4):
                await self._wait_for_quarter()
            if pause == rush_s:
                self._hazards.aim(0.1)
            await self._act()

    async def _wait_for_quarter(self) -> None:
        """Wait until the clock strikes, or a millisecond off: that is when hours open and close."""
        left_ms = -self._now() % (15 * MINUTE_MS) + self._dice.among(-1, 1)
        await asyncio.sleep(max(0, left_ms) / SECOND_MS)

    async def _act(self) -> None:
        dice, hazards = self._dice, self._hazards
        if dice.chance(0.2):
            await self._be_somebody_else()
        batch: list[Input] = [self._do(dice.pick(EVENTS)) for _ in range(dice.among(1, 2))]
        if hazards.strikes("reorder"):
            for given in batch:
                self._spawn(self._deliver([given]))
        else:
            await self._deliver(batch)
            if hazards.strikes("duplicate"):
                await self._deliver(batch)
        if hazards.strikes("withdraw"):  # what they just did may have led to a message that waits
            hazards.aim(0.2)
            await self._deliver([self._state_wish()])
        if hazards.strikes("erase"):
            await self._be_erased(batch)

    async def _be_erased(self, before: Sequence[Input]) -> None:
        """Be erased, perhaps while an event is under way; what is sent again must not come back."""
        dice, hazards = self._dice, self._hazards
        if dice.chance(0.5):
            self._spawn(self._deliver([self._do(dice.pick(EVENTS))]))
        hazards.aim(0.4)
        name = f"a-{self.name}" if dice.chance(0.2) else self.name
        await self._erase(name)
        await self._deliver(before)
        if dice.chance(0.7):  # and then they are back, as somebody nobody knows
            await asyncio.sleep(dice.span(0.01, 60.0))
            await self._deliver([self._introduce(is_visitor=dice.chance(0.3))])

    async def _be_somebody_else(self) -> None:
        """Be on another device, or under another name, for a while, and then known again."""
        dice = self._dice
        if dice.chance(0.3):
            await self._use_account()
            return
        device = dice.pick(self._devices)
        await self._visit(device)
        if dice.chance(0.6):
            await self._deliver([self._introduce(is_visitor=True, device=device)])

    async def _use_account(self) -> None:
        """Use a second account, which an address or an alias tells to be theirs."""
        dice, other = self._dice, f"{self.name}b"
        event = self._do(dice.pick(EVENTS))
        told: list[Input] = [replace(event, user=other)]
        if dice.chance(0.5):
            told.append(replace(self._introduce(is_visitor=False), user=other))
        await self._deliver(told)
        if dice.chance(0.4):
            alias = self._event(EventKind.ALIAS, "Alias", properties={"previousId": other})
            await self._deliver([alias])

    async def _visit(self, device: str) -> None:
        """Look around before anybody knows who they are; perhaps buy, ask, or leave an address."""
        dice = self._dice
        told: list[Input] = [self._on(device, self._event(EventKind.TRACK, "Viewed"))]
        if dice.chance(0.5):
            told.append(self._on(device, self._do(dice.pick(EVENTS))))
        if dice.chance(0.4):
            traits = {"email": f"{self.name}@example.com", "push_token": f"t-{device}"}
            left = self._event(EventKind.IDENTIFY, "Identified", traits=traits)
            told.insert(dice.below(len(told) + 1), self._on(device, left))
        if dice.chance(0.2):
            told.append(self._on(device, self._state_wish()))
        visit = self._deliver_each(told)
        if self._hazards.strikes("overtake"):
            self._spawn(visit)
        else:
            await visit

    async def _deliver_each(self, inputs: Sequence[Input]) -> None:
        for given in inputs:  # the smallest queue there is holds two
            await self._deliver([given])

    @staticmethod
    def _on(device: str, event: Event) -> Event:
        return replace(event, user=None, anonymous=device)

    def _introduce(self, *, is_visitor: bool, device: str = "") -> Event:
        traits = {
            "name": self.name,
            "email": f"{self.name}@example.com",
            "phone": f"+4477009{self._dice.below(90_000) + 10_000}",
            "push_token": f"t-{self.name}",
            "timezone": self._dice.pick(ZONES),
        }
        event = self._event(EventKind.IDENTIFY, "Identified", traits=traits)
        return replace(event, anonymous=device or self._devices[0]) if is_visitor else event

    def _do(self, name: str) -> Event:
        return self._event(EventKind.TRACK, name, properties={"price": self._dice.among(1, 99)})

    def _state_wish(self) -> Event:
        channel = self._dice.pick(("*", "*", *CHANNELS))
        is_no = self._dice.chance(0.6)
        status = ConsentStatus.WITHDRAWN if is_no else ConsentStatus.GRANTED
        said = ConsentStatement(MARKETING, channel, status, self._now(), "person")
        return self._event(EventKind.CONSENT, "Consent Stated", consents=(said,))

    def _event(
        self,
        kind: EventKind,
        name: str,
        **parts: Any,  # noqa: ANN401
    ) -> Event:
        self._count += 1
        now = self._now()
        number = f"{self.name}.{self._count}"
        return Event(number, kind, name, self.name, None, now, now, **parts)
