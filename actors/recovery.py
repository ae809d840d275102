"""Recovery: from what is on disk to actors as they were, without deciding anything again.

Called once by `actors.runtime` at start. Reads the journal's tail, the part no snapshot covers, and
folds it.
"""

from collections.abc import Mapping

from actors.directory import Directory, decode_entry, revive
from actors.ports import Store
from actors.rows import Entry, StoreState
from engine.evolve import fold

_NOBODY: Mapping[str, int] = {}


async def recover(
    store: Store, directory: Directory, state: StoreState, gone: Mapping[str, int] = _NOBODY
) -> int:
    """Fold the journal's tail into the directory's actors; gives how many entries it had.

    `gone` are customers that are being erased, with the latest of their entries that is still
    there: of these nobody is made again.
    """
    count = 0
    async for found in store.tail(state.covered_seq):
        portion = [one for one in found if one.seq > gone.get(one.customer, 0)] if gone else found
        await _adopt(store, directory, portion)
        for entry in portion:
            _fold(directory, entry)
        count += len(portion)
    return count


async def _adopt(store: Store, directory: Directory, portion: list[Entry]) -> None:
    names = list(dict.fromkeys(entry.customer for entry in portion))
    unknown = [name for name in names if directory.find(name) is None]
    revived = await revive(store, unknown, await store.load(unknown))
    for name in unknown:
        actor = revived[name]
        directory.adopt(actor)
        if actor.last_seq > actor.saved_seq:  # its snapshot was damaged
            directory.changed(actor, actor.last_seq)


def _fold(directory: Directory, entry: Entry) -> None:
    actor = directory.find(entry.customer)
    assert actor is not None
    assert actor.profile is not None
    if entry.seq <= actor.last_seq:
        return
    given, records = decode_entry(entry)
    fold(actor.profile, given, records, entry.at)
    actor.last_seq = actor.durable_seq = entry.seq
    directory.changed(actor, entry.seq)
