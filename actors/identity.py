"""Which customer an event belongs to.

Owned by `actors.runtime`. A user id names a customer by itself. An anonymous id belongs to the
customer it was last seen together with, else to an anonymous customer of its own.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from actors.ports import Store
from engine.events import Event, EventKind, Input, Receipt

ANONYMOUS = "anonymous_id"
ANONYMOUS_PREFIX = "anon:"
CACHE_MAX = 100_000


class Identity:
    """Links from anonymous ids to customers: a bounded cache over the store."""

    def __init__(
        self,
        store: Store,
        resolved: Callable[[str], None],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._store = store
        self._resolved = resolved
        self._failed = failed
        self._known: OrderedDict[str, str] = OrderedDict()
        self._unsaved: dict[str, str] = {}  # linked, but not yet durable: not to be evicted
        self._wanted: list[str] = []
        self._loading: asyncio.Task[None] | None = None

    def customer(self, given: Input) -> str | None:
        """Name the customer, or None when the store must be asked: then `resolved` is called."""
        assert isinstance(given, (Event, Receipt))
        if given.user:
            return given.user
        assert isinstance(given, Event)
        assert given.anonymous is not None
        known = self._unsaved.get(given.anonymous) or self._known.get(given.anonymous)
        if known is None:
            self._wanted.append(given.anonymous)
            if self._loading is None:
                self._loading = asyncio.get_running_loop().create_task(self._load())
        return known

    def link(self, event: Event) -> tuple[str, str, str] | None:
        """Give the link an event establishes, if it is news."""
        if event.user is None:
            return None
        anonymous = event.anonymous
        if event.kind is EventKind.ALIAS:
            previous = event.properties.get("previousId")
            anonymous = previous if isinstance(previous, str) else anonymous
        if not anonymous or anonymous == event.user:
            return None
        if (self._unsaved.get(anonymous) or self._known.get(anonymous)) == event.user:
            return None
        self._unsaved[anonymous] = event.user
        return ANONYMOUS, anonymous, event.user

    def saved(self, links: list[tuple[str, str, str]]) -> None:
        """Note that links are durable."""
        for _, anonymous, customer in links:
            if self._unsaved.get(anonymous) == customer:
                del self._unsaved[anonymous]
            self._remember(anonymous, customer)

    def lost(self, links: list[tuple[str, str, str]]) -> None:
        """Forget links whose commit failed."""
        for _, anonymous, customer in links:
            if self._unsaved.get(anonymous) == customer:
                del self._unsaved[anonymous]

    def _remember(self, anonymous: str, customer: str) -> None:
        self._known[anonymous] = customer
        if len(self._known) > CACHE_MAX:
            self._known.popitem(last=False)

    async def _load(self) -> None:
        try:
            while self._wanted:
                wanted, self._wanted = list(dict.fromkeys(self._wanted)), []
                try:
                    await self._resolve(wanted)
                except Exception as error:  # noqa: BLE001 - whatever it was, each caller is told
                    for value in wanted:
                        self._failed(value, error)
        finally:
            self._loading = None

    async def _resolve(self, wanted: list[str]) -> None:
        found = await self._store.resolve([(ANONYMOUS, value) for value in wanted])
        for value in wanted:
            customer = found.get((ANONYMOUS, value), ANONYMOUS_PREFIX + value)
            if value not in self._known:
                self._remember(value, customer)
            self._resolved(value)
