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
        self.moving: set[str] = set()  # being handed over: whose they are is said when that is done
        self._wanted: list[str] = []
        self._loading: asyncio.Task[None] | None = None

    def customer(self, given: Input) -> str | None:
        """Name the customer, or None when it can't be told yet.

        Where the store must be asked, `resolved` is called; where an id moves, who moves it knows.
        """
        assert isinstance(given, (Event, Receipt))
        if given.user:
            return given.user
        assert isinstance(given, Event)
        assert given.anonymous is not None
        if given.anonymous in self.moving:
            return None
        known = self._known.get(given.anonymous)
        if known is None:
            self.ask(given.anonymous)
        return known

    def find(self, anonymous: str) -> str | None:
        """Tell whose an anonymous id is on disk, None where the store must be asked."""
        return self._known.get(anonymous)

    def ask(self, anonymous: str) -> None:
        """Ask the store; `resolved` or `failed` is called."""
        self._wanted.append(anonymous)
        if self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(self._load())

    def link(self, event: Event) -> Link | None:
        """Give the link an event establishes, if it is news or is just being made."""
        if event.user is None:
            return None
        anonymous = event.anonymous
        if event.kind is EventKind.ALIAS:
            previous = event.properties.get("previousId")
            anonymous = previous if isinstance(previous, str) else anonymous
        if not anonymous or anonymous == event.user:
            return None
        if anonymous not in self.moving and self._known.get(anonymous) == event.user:
            return None
        return (ANONYMOUS, anonymous, event.user)

    def remember(self, anonymous: str, customer: str) -> None:
        """Note whose an anonymous id is on disk."""
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
                self.remember(value, found.get((ANONYMOUS, value), ANONYMOUS_PREFIX + value))
        for value in wanted:  # after all of them are known: a submission may wait for several
            self._resolved(value)
