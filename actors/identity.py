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

Link = tuple[str, str, str]  # (namespace, value, customer)


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
        # Linked, but not yet durable: not to be evicted. An older link that becomes durable
        # meanwhile must not end a newer one of the same ids, so links are told apart by identity.
        self._unsaved: dict[str, Link] = {}
        self._wanted: list[str] = []
        self._loading: asyncio.Task[None] | None = None

    def customer(self, given: Input) -> str | None:
        """Name the customer, or None when the store must be asked: then `resolved` is called."""
        assert isinstance(given, (Event, Receipt))
        if given.user:
            return given.user
        assert isinstance(given, Event)
        assert given.anonymous is not None
        known = self._find(given.anonymous)
        if known is None:
            self._wanted.append(given.anonymous)
            if self._loading is None:
                self._loading = asyncio.get_running_loop().create_task(self._load())
        return known

    def _find(self, anonymous: str) -> str | None:
        unsaved = self._unsaved.get(anonymous)
        return unsaved[2] if unsaved is not None else self._known.get(anonymous)

    def link(self, event: Event) -> Link | None:
        """Give the link an event establishes, if it is news."""
        if event.user is None:
            return None
        anonymous = event.anonymous
        if event.kind is EventKind.ALIAS:
            previous = event.properties.get("previousId")
            anonymous = previous if isinstance(previous, str) else anonymous
        if not anonymous or anonymous == event.user:
            return None
        if self._find(anonymous) == event.user:
            return None
        link = (ANONYMOUS, anonymous, event.user)
        self._unsaved[anonymous] = link
        return link

    def saved(self, links: list[Link]) -> None:
        """Note that links are durable."""
        for link in links:
            self._settle(link)
            self._remember(link[1], link[2])

    def lost(self, links: list[Link]) -> None:
        """Forget links whose commit failed."""
        for link in links:
            self._settle(link)

    def _settle(self, link: Link) -> None:
        if self._unsaved.get(link[1]) is link:
            del self._unsaved[link[1]]

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
            if value not in self._known:
                self._remember(value, found.get((ANONYMOUS, value), ANONYMOUS_PREFIX + value))
        for value in wanted:  # after all of them are known: a submission may wait for several
            self._resolved(value)
