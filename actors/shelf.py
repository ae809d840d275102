"""The catalogue's twin in memory: items as the store keeps them, and in its order.

Part of `actors.memory`.
"""

from collections.abc import Iterable

from actors.rows import CatalogueRow


class Shelf:
    """Items by kind and id."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], bytes] = {}

    def apply(self, rows: Iterable[CatalogueRow]) -> None:
        """Take items in; one without a body goes."""
        for kind, item, body in rows:
            if body:
                self._items[kind, item] = body
            else:
                self._items.pop((kind, item), None)

    def rows(self, after: tuple[str, str], limit: int, kind: str) -> list[CatalogueRow]:
        """List items after a (kind, id), in that order; of one kind if named."""
        wanted = [key for key in self._items if key > after and kind in ("", key[0])]
        return [CatalogueRow(*key, self._items[key]) for key in sorted(wanted)[:limit]]
