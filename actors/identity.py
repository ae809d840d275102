"""Whose each identity is: a bounded memory over the store.

Owned by `actors.intake`. A user id names a customer by itself. An anonymous id belongs to the
customer it was last seen together with, else to an anonymous customer of its own; any other
identity to who was first seen with it, or to nobody.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from actors.ports import Store
from engine.events import Key
from engine.identities import ANONYMOUS, ANONYMOUS_PREFIX, USER

CACHE_MAX = 100_000
NOBODY = ""

Link = tuple[str, str, str]  # (namespace, value, customer)


class Identity:
    """The owners of identities, as they will be once all that was decided is durable."""

    def __init__(
        self,
        store: Store,
        resolved: Callable[[Sequence[Key]], None],
        failed: Callable[[Sequence[Key], Exception], None],
    ) -> None:
        """`resolved` and `failed` hear of the identities that were asked for."""
        self._store = store
        self._resolved = resolved
        self._failed = failed
        self._known: OrderedDict[Key, str] = OrderedDict()
        self._wanted: dict[Key, None] = {}
        self._loading: asyncio.Task[None] | None = None
        self._age = 0  # what was asked before everything was forgotten is not believed

    def find(self, key: Key) -> str | None:
        """Tell whose an identity is, `NOBODY` where it is free, None where it must be asked."""
        return self._known.get(key)

    def ask(self, keys: Iterable[Key]) -> None:
        """Ask the store; `resolved` or `failed` is called."""
        for key in keys:
            self._wanted[key] = None
        if self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(self._load())

    def remember(self, keys: Iterable[Key], customer: str) -> None:
        """Note whose identities are from here on."""
        for key in keys:
            self._known[key] = customer
        while len(self._known) > CACHE_MAX:
            self._known.popitem(last=False)

    def drop(self, keys: Iterable[Key]) -> None:
        """Have identities be nobody's.

        The store may just have been asked, and say what was before: it is not believed then.
        """
        for key in keys:
            self._known[key] = default_owner(key)

    def forget(self) -> None:
        """Believe nothing any more: what was noted may have been lost with a commit."""
        self._known.clear()
        self._age += 1

    async def _load(self) -> None:
        try:
            while self._wanted:
                wanted, self._wanted = list(self._wanted), {}
                try:
                    await self._resolve(wanted)
                except Exception as error:  # noqa: BLE001 - whatever it was, each caller is told
                    self._failed(wanted, error)
        finally:
            self._loading = None

    async def _resolve(self, wanted: list[Key]) -> None:
        age = self._age
        found = await self._store.resolve(wanted)
        if age != self._age:
            self.ask(wanted)
            return
        for key in wanted:
            if key not in self._known:
                self.remember((key,), found.get(key) or default_owner(key))
        self._resolved(wanted)


def default_owner(key: Key) -> str:
    """Tell whose an identity is that was linked with nobody."""
    namespace, value = key
    if namespace == ANONYMOUS:
        return ANONYMOUS_PREFIX + value
    return value if namespace == USER else NOBODY
