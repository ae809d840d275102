"""What providers tell of messages by themselves: `/v1/receipts/{provider}`.

`routes` is mounted by the composition root, with the reception that knows the providers. No key is
asked for, because providers can't send ours: each request proves by itself who it is from.

*Rules*
- 200 is answered once all of it is durable, with an empty body: some providers take what is in it
  for an answer to the customer.
- 403 is what is not the provider's, or too old. What is genuine is never answered with an error of
  the client, nor with one of ours that would come again.
"""

from collections.abc import Sequence
from typing import Protocol

from aiohttp import web

from actors.rows import QuarantineRow
from actors.runtime import Runtime
from adapters.gateway.answers import refuse
from adapters.gateway.body import SlowBodyError, read_body
from adapters.gateway.host import Host
from adapters.gateway.intake import refuse_slow, refuse_whole
from engine.errors import InputError, OverloadError, StoreError
from engine.events import Event, Receipt

_PATH = "/v1/receipts/{provider}"
_STORE_RETRY_S = 1
_BODY_BYTES_MAX = 1024 * 1024  # SendGrid gathers events up to 768 KB


class Taken(Protocol):
    """What came of a request: the answer, and what must be durable before it."""

    @property
    def status(self) -> int: ...  # noqa: D102 - as it is sent
    @property
    def code(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def body(self) -> bytes: ...  # noqa: D102
    @property
    def retry_after_s(self) -> int | None: ...  # noqa: D102
    @property
    def inputs(self) -> Sequence[Event | Receipt]: ...  # noqa: D102
    @property
    def quarantined(self) -> Sequence[QuarantineRow]: ...  # noqa: D102


class Reception(Protocol):
    """What knows the providers."""

    def refuse_unknown(self, provider: str) -> Taken | None:
        """Say why nothing is taken from a provider of this name."""
        ...

    async def take(self, shard: Runtime, provider: str, request: web.Request, body: bytes) -> Taken:
        """Take a request of a provider."""
        ...


def routes(host: Host, reception: Reception) -> list[web.RouteDef]:
    """List the routes; `reception` has the hooks that are configured."""

    async def take(request: web.Request) -> web.StreamResponse:
        host.counters.requests += 1
        provider = request.match_info["provider"]
        unknown = reception.refuse_unknown(provider)
        if unknown is not None:
            return _answer(host, unknown)
        try:
            body = await read_body(request, host.settings.deadlines.body_s, _BODY_BYTES_MAX)
        except InputError as error:
            return refuse_whole(host, error)
        except SlowBodyError:
            return refuse_slow(host)
        try:
            taken = await reception.take(host.runtime, provider, request, body)
            if taken.inputs or taken.quarantined:
                await host.runtime.submit(taken.inputs, taken.quarantined)
        except OverloadError as error:
            host.counters.count_refused("overloaded")
            message = "too much is waiting to be stored; send this again later"
            return refuse(503, "overloaded", message, retry_after_s=error.retry_after_s)
        except StoreError:
            host.counters.count_refused("not_stored")
            message = "this could not be stored; send it again later"
            return refuse(503, "not_stored", message, retry_after_s=_STORE_RETRY_S)
        return _answer(host, taken)

    return [web.get(_PATH, take, allow_head=False), web.post(_PATH, take)]


def _answer(host: Host, taken: Taken) -> web.StreamResponse:
    if taken.code:
        host.counters.count_refused(taken.code)
        return refuse(taken.status, taken.code, taken.message, retry_after_s=taken.retry_after_s)
    return web.Response(body=taken.body, content_type="text/plain")
