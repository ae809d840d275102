"""What every handler of the gateway is given: the runtime, the settings, the keys, the counts.

Built by `adapters.gateway.app`, passed to each module's `routes(host)`.
"""

import msgspec
from aiohttp import web

from actors.runtime import Runtime
from adapters.gateway.answers import refuse_loudly
from adapters.gateway.auth import KeyRing
from adapters.gateway.grants import ANYBODY, Grant, name_key
from adapters.gateway.settings import GatewaySettings
from adapters.inbox import Inbox

_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})


class GatewayCounters(msgspec.Struct):
    """What came in since the start, as plain numbers; exported at scrape time."""

    requests: int = 0  # ingest requests, whatever the answer
    refused: dict[str, int] = {}  # code -> how many whole requests
    tolerated: dict[str, int] = {}  # what was mended in passing, like `nan` or `timezone`
    connections_refused: int = 0  # beyond the cap
    bodies_timed_out: int = 0

    def count_refused(self, code: str) -> None:
        """Count a request that was refused as a whole."""
        self.refused[code] = self.refused.get(code, 0) + 1

    def count_tolerated(self, what: str, times: int = 1) -> None:
        """Count something that was mended rather than refused."""
        self.tolerated[what] = self.tolerated.get(what, 0) + times


class Host(msgspec.Struct, frozen=True):
    """The bundle handlers work with."""

    runtime: Runtime
    settings: GatewaySettings
    counters: GatewayCounters
    write_ring: KeyRing
    admin_ring: KeyRing
    inbox: Inbox | None = None  # of in-app messages, where a channel has one

    @classmethod
    def of(cls, runtime: Runtime, settings: GatewaySettings, inbox: Inbox | None = None) -> "Host":
        """Bundle a runtime with the settings it is served under."""
        write_ring, admin_ring = KeyRing(settings.write_keys), KeyRing(settings.admin_keys)
        return cls(runtime, settings, GatewayCounters(), write_ring, admin_ring, inbox)

    def require_admin(self, request: web.BaseRequest) -> Grant:
        """Raise a 401 unless the request carries an admin key (Bearer, or Basic user).

        A key that allows looking only is refused with a 403 where something would be done.
        """
        if self.admin_ring.judge(request.headers.get("Authorization")) is not True:
            self.counters.count_refused("unauthorized")
            raise refuse_loudly(401, "unauthorized", "this needs an admin key as Bearer token")
        grant = self.visitor(request)
        if request.method not in _LOOKING and not grant.may_act:
            self.counters.count_refused("forbidden")
            raise refuse_loudly(403, "forbidden", "this key may look, and change nothing")
        return grant

    def is_admin(self, request: web.BaseRequest) -> bool:
        """Say whether a request carries an admin key, at whichever door."""
        return self.admin_ring.recognise(request.headers.get("Authorization", "")) is not None

    def visitor(self, request: web.BaseRequest) -> Grant:
        """Tell whose admin key a request carries that was let in, and what it allows."""
        if self.admin_ring.is_open:
            return ANYBODY
        hashed = self.admin_ring.recognise(request.headers.get("Authorization", "")) or b""
        return self.settings.grants.get(hashed) or Grant(name_key(hashed))

    def require_writer(self, request: web.BaseRequest) -> None:
        """Raise a 401 unless the request carries a write key in its header or its query."""
        verdict = self.write_ring.judge(request.headers.get("Authorization"))
        if verdict is None:
            verdict = self.write_ring.admits(request.query.get("writeKey"))
        if not verdict:
            self.counters.count_refused("unauthorized")
            raise refuse_loudly(401, "unauthorized", "the write key is missing or unknown")
