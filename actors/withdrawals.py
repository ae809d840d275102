"""Consent that became narrower, and the messages that wait to leave.

Called by `actors.runtime` when a commit that narrowed consent is durable, and at start for the
messages a stopped process left. A message is stopped when consent no longer allows it; where the
profile can't be looked at, only service messages go on: rather silent than wrong. At start those
are stopped, too, that another channel has overtaken.
"""

from collections.abc import Sequence
from typing import Protocol

from actors.directory import LOAD_MAX, Directory
from actors.outbox import Outbox
from actors.ports import Clock
from actors.rows import OutboxRow
from engine.effects import Send
from engine.events import ConsentStatus, Event, Input, Merged, Scrubbed
from engine.gates.consent import SERVICE, check_consent
from engine.gates.registries import check_registries
from engine.profile import Profile
from engine.program.program import Program
from engine.reasons import Reason
from engine.records import ConsentNoted, Record
from engine.traits.sends import find_overtaken


def narrows_consent(given: Input, records: Sequence[Record]) -> bool:
    """Say whether a step may have taken back what messages in the outbox rest on."""
    if isinstance(given, Merged | Scrubbed):
        return True
    if isinstance(given, Event) and any(
        said.status is not ConsentStatus.GRANTED for said in given.consents
    ):
        return True
    return any(isinstance(record, ConsentNoted) for record in records)


class Judge(Protocol):
    """By which program, and at which present, consent is judged: the shard's own."""

    program: Program
    clock: Clock


class Withdrawals:
    """Stops what waits in the outbox and what its customer's consent no longer allows."""

    def __init__(self, directory: Directory, outbox: Outbox, judge: Judge) -> None:
        self._directory = directory
        self._outbox = outbox
        self._judge = judge

    def enforce(self, customer: str) -> None:
        """Stop what a customer in memory no longer wants."""
        actor = self._directory.find(customer)
        self._stop(customer, actor.profile if actor is not None else None)

    async def recover(self, rows: Sequence[OutboxRow]) -> None:
        """Have the outbox take up what a stopped process left, without what is unwanted by now.

        A withdrawal, or a decision for another channel, can be durable while the end of the message
        it stopped is not.
        """
        names = list(dict.fromkeys(row.customer for row in rows))
        told: dict[str, Profile] = {}
        overtaken: list[tuple[str, str]] = []
        for start in range(0, len(names), LOAD_MAX):
            recalled = await self._recall(names[start : start + LOAD_MAX])
            for name, profile in recalled.items():
                # Only what consent is judged by: a hundred thousand whole profiles are too much.
                told[name] = _judged(profile)
                overtaken += [(name, message_id) for message_id in find_overtaken(profile)]
        self._outbox.recover(rows)
        for name, message_id in overtaken:
            self._outbox.withhold(name, message_id)
        for name, profile in told.items():
            self._stop(name, profile)

    async def _recall(self, names: Sequence[str]) -> dict[str, Profile]:
        """Read customers from the disk; in place of who became another customer, that one."""
        told: dict[str, Profile] = {}
        became = {name: name for name in names}
        while became:
            recalled = await self._directory.recall(list(dict.fromkeys(became.values())))
            went: dict[str, str] = {}
            for name, current in became.items():
                profile = recalled[current].profile
                assert profile is not None
                if profile.merged_into:
                    went[name] = profile.merged_into
                told[name] = profile
            became = went
        return told

    def _stop(self, customer: str, profile: Profile | None) -> None:
        program, now = self._judge.program, self._judge.clock.now()

        def is_unwanted(send: Send) -> bool:
            if profile is None:
                return send.purpose != SERVICE
            block = check_consent(
                profile, program, send.purpose, send.channel, send.message_type, now
            )
            channel = program.channels.get(send.channel)
            if block is None and channel is not None:
                block = check_registries(profile, program, send.purpose, channel, now)
            return block is not None

        for name in (customer, *(profile.absorbed if profile is not None else ())):
            self._outbox.cancel(name, is_unwanted, Reason.CONSENT_WITHDRAWN.value)


def _judged(profile: Profile) -> Profile:
    """Keep of a profile what consent is judged by, and who is meant."""
    return Profile(
        profile.customer,
        profile.traits,
        profile.consents,
        context_timezone=profile.context_timezone,
        absorbed=profile.absorbed,
        listings=profile.listings,
    )
