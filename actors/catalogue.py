"""What is known of products, stores and content: all of it in memory, and kept by the store.

Owned by `actors.runtime`, which has it tell events what they name before they are journaled. The
gateway loads and reads it.

*Rules*
- Memory follows the disk: an item counts from the moment its commit is durable.
- One load at a time. Items go to the store in portions, so that events wait for none of them long.
- A kind is replaced by adding first and removing what was not named last: whoever is interrupted
  has both, and an event finds an item or its successor, never a gap.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from actors.ports import Store
from actors.rows import CatalogueRow, Commit
from engine.errors import InputError
from engine.events import Event, Input
from engine.intake.enrich import enrich
from engine.limits import CATALOGUE_BYTES_MAX, CATALOGUE_ITEMS_MAX
from engine.program.catalogue import Joins

PORTION_ROWS = 250
_LOAD_ROWS = 5_000

_NO_ITEMS: Mapping[str, bytes] = {}


class Loaded(msgspec.Struct):
    """What a load did: items that are new or have changed, that were the same, that went."""

    stored: int = 0
    unchanged: int = 0
    removed: int = 0


class Catalogue:
    """The items of every kind, as msgpack: decoded they would take four times the memory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kinds: dict[str, dict[str, bytes]] = {}
        self._turn = asyncio.Lock()
        self.count = 0
        self.bytes = 0
        # Items that were not what was written when the store was read: they are in no answer.
        self.damaged: dict[tuple[str, str], None] = {}

    async def load(self) -> None:
        """Read everything from the store, which must be open. Items that are damaged are left."""
        after, is_over = ("", ""), False
        while not is_over:
            rows = await self._store.catalogue(after, _LOAD_ROWS)
            whole = [row for row in rows if row.body]
            self.damaged.update(((row.kind, row.id), None) for row in rows if not row.body)
            self._take(whole)
            # Only the id of a whole row is sure to be where the next portion begins.
            is_over = len(rows) < _LOAD_ROWS or not whole
            after = (whole[-1].kind, whole[-1].id) if whole else after

    def find(self, kind: str, item: str) -> bytes | None:
        """Give the fields of an item as msgpack."""
        items = self._kinds.get(kind)
        return None if items is None else items.get(item)

    def counts(self) -> dict[str, int]:
        """Tell how many items of each kind there are."""
        return {kind: len(items) for kind, items in sorted(self._kinds.items())}

    def enrich(self, inputs: Sequence[Input], joins: Joins) -> Sequence[Input]:
        """Tell events what they name; the same sequence where none of them names anything."""
        told: list[Input] | None = None
        names_nothing = joins.keys.isdisjoint  # asked here, to save nearly every event a call
        for place, given in enumerate(inputs):
            if isinstance(given, Event) and not names_nothing(given.properties):
                event = enrich(given, joins, self.find)
                if event is not given:
                    if told is None:
                        told = list(inputs)
                    told[place] = event
        return inputs if told is None else told

    async def put(self, rows: Iterable[CatalogueRow], loaded: Loaded) -> None:
        """Take items in, a portion at a time; `loaded` counts what is durable.

        Raises InputError where the catalogue would be too large, StoreError where a portion could
        not be made durable; earlier portions are, and stay.
        """
        async with self._turn:
            await self._put(rows, loaded)

    async def replace(
        self, kind: str, rows: Iterable[CatalogueRow], loaded: Loaded, faults: Sequence[object]
    ) -> None:
        """Take items of a kind in and remove all others of it, if in the end there are no faults.

        Nothing is removed where no item was given: a feed that broke is empty more often than a
        shop is. Raises as `put` does, and then nothing is removed.
        """
        async with self._turn:
            named: dict[str, None] = {}
            await self._put(_note(rows, named), loaded)
            if named and not faults:
                gone = [item for item in self._stored(kind) if item not in named]
                await self._remove(kind, gone, loaded)

    async def remove(self, kind: str, item: str) -> bool:
        """Remove an item; False where there is none."""
        async with self._turn:
            if self.find(kind, item) is None and (kind, item) not in self.damaged:
                return False
            await self._remove(kind, [item], Loaded())
            return True

    async def clear(self, kind: str) -> int:
        """Remove a whole kind; gives how many items it had."""
        async with self._turn:
            loaded = Loaded()
            await self._remove(kind, self._stored(kind), loaded)
            return loaded.removed

    def _stored(self, kind: str) -> list[str]:
        """List the ids that the store has of a kind, those of damaged items with them."""
        damaged = [item for other, item in self.damaged if other == kind]
        return [*self._kinds.get(kind, _NO_ITEMS), *damaged]

    async def _put(self, rows: Iterable[CatalogueRow], loaded: Loaded) -> None:
        portion: dict[tuple[str, str], CatalogueRow] = {}
        for row in rows:
            if self.find(row.kind, row.id) == row.body and (row.kind, row.id) not in portion:
                loaded.unchanged += 1
            else:
                portion[row.kind, row.id] = row
            if len(portion) == PORTION_ROWS:
                await self._write(list(portion.values()), loaded)
                portion.clear()
        await self._write(list(portion.values()), loaded)

    async def _write(self, rows: list[CatalogueRow], loaded: Loaded) -> None:
        if not rows:
            return
        self._check_room(rows)
        await self._store.commit(Commit(catalogue=rows))
        self._take(rows)
        loaded.stored += len(rows)

    def _check_room(self, rows: Sequence[CatalogueRow]) -> None:
        fresh = sum(self.find(row.kind, row.id) is None for row in rows)
        if self.count + fresh > CATALOGUE_ITEMS_MAX:
            message = f"the catalogue may hold {CATALOGUE_ITEMS_MAX} items: remove some first"
            raise InputError("catalogue_full", message)
        if self.bytes + sum(len(row.body) for row in rows) > CATALOGUE_BYTES_MAX:
            message = f"the catalogue may hold {CATALOGUE_BYTES_MAX} bytes: remove some items first"
            raise InputError("catalogue_full", message)

    async def _remove(self, kind: str, gone: Sequence[str], loaded: Loaded) -> None:
        for start in range(0, len(gone), PORTION_ROWS):
            portion = gone[start : start + PORTION_ROWS]
            rows = [CatalogueRow(kind, item, b"") for item in portion]
            await self._store.commit(Commit(catalogue=rows))
            for item in portion:
                self._drop(kind, item)
            loaded.removed += len(portion)

    def _take(self, rows: Iterable[CatalogueRow]) -> None:
        for kind, item, body in rows:
            items = self._kinds.setdefault(kind, {})
            before = items.get(item)
            if self.damaged:
                self.damaged.pop((kind, item), None)
            items[item] = body
            self.count += before is None
            self.bytes += len(body) - len(before or b"")

    def _drop(self, kind: str, item: str) -> None:
        self.damaged.pop((kind, item), None)
        items = self._kinds.get(kind, {})
        if item not in items:
            return
        self.bytes -= len(items.pop(item))
        self.count -= 1
        if not items:
            del self._kinds[kind]


def _note(rows: Iterable[CatalogueRow], named: dict[str, None]) -> Iterable[CatalogueRow]:
    for row in rows:
        named[row.id] = None
        yield row
