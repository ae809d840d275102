"""Where customers are in journeys, as rows that can be counted: what an input changed of them.

Called by `actors.commits` for what is decided, and by `actors.runtime` at start, where the store
has to be filled. A row is made of the profile alone, so that it can always be made again: it says
before which instruction somebody stands; which step that is, the version knows.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

from actors.directory import Directory, revive
from actors.ports import Store
from actors.rows import Commit, StayRow
from engine.events import Departed, Input, Merged, Restored
from engine.profile import Instance, Profile
from engine.records import Branched, BranchEnded, Entered, Exited, Migrated, Moved, Record

FILL_ROWS = 500  # customers read at once where the store is filled

# The inputs that replace all stays there were, and the records after which one is another.
_REPLACING = (Merged, Departed, Restored)
_TOUCHING = (Entered, Moved, Exited, Branched, BranchEnded, Migrated)

_log = logging.getLogger("nextbeat.stays")


def may_change(given: Input, records: Sequence[Record]) -> bool:
    """Say whether an input may have changed where its customer is."""
    return any(isinstance(record, _TOUCHING) for record in records) or isinstance(given, _REPLACING)


def changed_stays(
    customer: str, profile: Profile, given: Input, records: Iterable[Record]
) -> Iterator[StayRow]:
    """Give what an input changed, from the profile as it is after it."""
    if isinstance(given, _REPLACING):
        yield _over(customer, 0)
        yield from stays_of(customer, profile)
        return
    touched = dict.fromkeys(one.instance for one in records if isinstance(one, _TOUCHING))
    for number in touched:
        instance = profile.instances.get(number)
        yield _over(customer, number) if instance is None else _row(customer, instance)


def stays_of(customer: str, profile: Profile) -> list[StayRow]:
    """Give the rows of all stays of a customer."""
    return [_row(customer, instance) for instance in profile.instances.values()]


def _row(customer: str, instance: Instance) -> StayRow:
    return StayRow(
        customer,
        instance.id,
        instance.journey,
        instance.version,
        instance.position,
        instance.entered_at,
    )


def _over(customer: str, number: int) -> StayRow:
    return StayRow(customer, number, "", "", 0, 0)


async def fill_stays(store: Store, directory: Directory, gone: Mapping[str, int]) -> int:
    """Write down the stays of everybody, where the store does not have them; gives how many.

    That is a store of an older format, before its shard takes anything. `gone` are customers that
    are being erased.
    """
    if await store.stays_filled():
        return 0
    residents = {
        actor.id: actor.profile for actor in directory.everyone() if actor.profile is not None
    }
    rows = [row for name, profile in residents.items() for row in stays_of(name, profile)]
    count, names = 0, [""]
    while names:
        names = await store.customers(names[-1], FILL_ROWS)
        absent = [name for name in names if name not in residents]
        for name, actor in (await revive(store, absent, await store.load(absent))).items():
            if actor.profile is not None and actor.last_seq > gone.get(name, 0):
                rows += stays_of(name, actor.profile)
        count += len(rows)
        await store.commit(Commit(stays=rows, stays_filled=not names))
        rows = []
    _log.info("wrote down %d stays in journeys", count)
    return count
