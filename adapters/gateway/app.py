"""The gateway put together: every module's routes on one server, with a short way for the many.

Called by `adapters.app`, which brings the runtime and mounts routes of its own (inbox,
unsubscribe). Nearly all requests are single events to a handful of addresses: these are taken past
the router, which would cost as much as all the rest of the gateway.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiohttp import web

from actors.runtime import Runtime
from adapters.gateway import (
    acts,
    braze,
    catalogue,
    cloudevents,
    consent,
    customerio,
    erasure,
    export,
    feed,
    health,
    identities,
    journeys,
    lines,
    metrics,
    openapi,
    outbox,
    preferences,
    quarantine,
    query,
    receipts,
    segment,
    segments,
    sources,
    stream,
)
from adapters.gateway.answers import refuse
from adapters.gateway.connections import Connection, Connections, raise_descriptor_limit
from adapters.gateway.host import Host
from adapters.gateway.intake import Handler
from adapters.gateway.settings import GatewaySettings
from adapters.inbox import Inbox

Routes = Callable[[Host], list[web.RouteDef]]
Dispatch = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_MODULES: tuple[Routes, ...] = (
    segment.routes,
    braze.routes,
    customerio.routes,
    cloudevents.routes,
    receipts.routes,
    consent.routes,
    preferences.routes,
    sources.routes,
    stream.routes,
    query.routes,
    erasure.routes,
    quarantine.routes,
    outbox.routes,
    segments.routes,
    journeys.routes,
    identities.routes,
    acts.routes,
    export.routes,
    catalogue.routes,
    feed.routes,
    health.routes,
    metrics.routes,
    openapi.routes,
)
_BACKLOG = 1_024  # connections the kernel holds while the loop is busy


class Gateway:
    """A server that is running. `stop` ends it once what was taken is answered."""

    def __init__(self, host: Host, runner: web.AppRunner, listener: asyncio.Server) -> None:
        self.host = host
        self.port: int = listener.sockets[0].getsockname()[1]
        self._runner = runner
        self._listener = listener

    @property
    def url(self) -> str:
        """Where it can be reached, without a slash at the end."""
        name = self.host.settings.host
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}"

    async def stop(self) -> None:
        """Take no new connections, answer what is in progress, and close."""
        self._listener.close()
        await self._runner.cleanup()


def build_app(host: Host, mounts: Iterable[Routes] = ()) -> web.Application:
    """Mount the routes of every module, and those that are brought along."""
    app = web.Application(middlewares=[_answer_in_json])
    lines.install(app)
    for routes in (*_MODULES, *mounts):
        app.add_routes(routes(host))
    return app


async def serve(
    runtime: Runtime,
    settings: GatewaySettings,
    mounts: Iterable[Routes] = (),
    inbox: Inbox | None = None,
) -> Gateway:
    """Listen, and hand what comes to the runtime. Raises SettingsError, or OSError for the port."""
    settings.check()
    raise_descriptor_limit()
    host = Host.of(runtime, settings, inbox)
    runner = web.AppRunner(
        build_app(host, mounts), access_log=None, shutdown_timeout=settings.deadlines.drain_s
    )
    await runner.setup()
    server = runner.server
    assert server is not None
    server.request_handler = _dispatch(segment.hot_routes(host), server.request_handler)
    connections = Connections(host.counters, settings.deadlines, settings.connections_max)
    loop = asyncio.get_running_loop()
    try:
        listener = await loop.create_server(
            lambda: Connection(server, loop, connections),
            settings.host,
            settings.port,
            backlog=_BACKLOG,
        )
    except OSError:
        await runner.cleanup()
        raise
    return Gateway(host, runner, listener)


def _dispatch(hot: Mapping[str, Handler], otherwise: Dispatch) -> Dispatch:
    """Send plain, complete POSTs straight to their handler and everything else to the router."""

    def dispatch(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        handler = hot.get(request.raw_path)
        if (
            handler is not None
            and request.method == "POST"
            and request.content.is_eof()
            and "Origin" not in request.headers
        ):
            return handler(request)
        return otherwise(request)

    return dispatch


@web.middleware
async def _answer_in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn the router's own refusals into ours."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return refuse(404, "not_found", "there is nothing at this address")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = refuse(405, "method_not_allowed", f"expected {allowed}")
        response.headers["Allow"] = allowed
        return response
    except web.HTTPRequestEntityTooLarge:
        return refuse(400, "too_large", "the body is too large")
