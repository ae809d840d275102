"""Segment's HTTP API, as its libraries, RudderStack's and their older relatives really use it.

`routes` is mounted by `adapters.gateway.app`, which also takes `hot_routes`: the same handlers by
bare path, for requests that need nothing else looked at.
"""

import msgspec
from aiohttp import web

from adapters.gateway.cors import allow_browsers
from adapters.gateway.host import Host
from adapters.gateway.intake import HISTORY_SOURCE, Handler, Portion, take_body
from adapters.gateway.wire import read_batch
from engine.intake.clocks import measure_skew

SOURCE = "segment"

_BATCH_PATHS = ("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch")
_HISTORY_PATH = "/v1/history"
_KIND_PATHS = {
    "identify": ("/v1/identify", "/v1/i"),
    "track": ("/v1/track", "/v1/t"),
    "page": ("/v1/page", "/v1/p"),
    "screen": ("/v1/screen", "/v1/s"),
    "group": ("/v1/group", "/v1/g"),
    "alias": ("/v1/alias", "/v1/a"),
}


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    return [
        route
        for path, handler in hot_routes(host).items()
        for route in allow_browsers(path, handler)
    ]


def hot_routes(host: Host) -> dict[str, Handler]:
    """Give the handlers of POST requests by path, each path with and without a slash at its end."""
    batch = take_body(host, read_calls, SOURCE)
    handlers: dict[str, Handler] = dict.fromkeys(_BATCH_PATHS, batch)
    handlers[_HISTORY_PATH] = take_body(host, read_history, HISTORY_SOURCE)
    for kind, paths in _KIND_PATHS.items():
        handlers |= dict.fromkeys(paths, take_body(host, read_call, SOURCE, kind))
    return handlers | {f"{path}/": handler for path, handler in handlers.items()}


def read_call(body: bytes, portion: Portion, _request: web.BaseRequest) -> None:
    """Read a body that is one call. What isn't JSON at all is no item to keep."""
    portion.take(body)
    portion.insist_on_json(body)


def read_calls(body: bytes, portion: Portion, _request: web.BaseRequest) -> None:
    """Read a body that is a batch; `sentAt` and `context` are said once for all of it."""
    envelope = portion.envelope
    batch = read_batch(body, envelope.oddities)
    portion.envelope = msgspec.structs.replace(
        envelope,
        skew_ms=measure_skew(batch.sent_at, envelope.received_at),
        context=batch.context or {},
    )
    for index, raw in enumerate(batch.batch):
        portion.take(bytes(raw), index)


def read_history(body: bytes, portion: Portion, request: web.BaseRequest) -> None:
    """Read a batch that is told for the record: it is known and counted, and begins nothing."""
    portion.envelope = msgspec.structs.replace(portion.envelope, is_history=True)
    read_calls(body, portion, request)
