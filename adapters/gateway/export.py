"""Everything there is about one customer, for whoever asks what is known of them.

`routes` is mounted by `adapters.gateway.app`. That it was asked for is written down before
anything leaves; the document itself is `adapters.gateway.dossier`'s.
"""

import asyncio
import contextlib

from aiohttp import web

from adapters.gateway.acts import note_act
from adapters.gateway.dossier import Dossier
from adapters.gateway.host import Host
from adapters.gateway.parameters import CustomerParameters, read_parameters
from adapters.gateway.query import find_customer, guard
from adapters.masking import Masker
from engine.errors import StoreError

_WRITE_S = 60.0  # a client that takes nothing for this long has left
_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "Content-Disposition": 'attachment; filename="export.json"',
    "Cache-Control": "no-store",
}


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    runtime = host.runtime

    async def export(request: web.Request) -> web.StreamResponse:
        parameters = read_parameters(request, CustomerParameters)
        profile = await find_customer(runtime, request)
        is_masked = parameters.mask or host.visitor(request).is_masked
        dossier = Dossier(
            runtime.store,
            runtime.program,
            (profile, await runtime.history(profile)),
            now=runtime.clock.now(),
            inbox=host.inbox,
            masker=Masker(runtime.program.pii) if is_masked else None,
        )
        detail = "without personal data" if is_masked else ""
        await note_act(host, request, "exported", profile.customer, detail)
        return await _send(request, dossier)

    return [web.get("/v1/customers/{id:[^/]+}/export", guard(host, export))]


async def _send(request: web.Request, dossier: Dossier) -> web.StreamResponse:
    response = web.StreamResponse(headers=_HEADERS)
    async with contextlib.aclosing(dossier.pieces()) as pieces:
        first = await anext(pieces)  # what fails at once is still answered with a status
        await response.prepare(request)
        try:
            await response.write(first)
            async for piece in pieces:
                async with asyncio.timeout(_WRITE_S):
                    await response.write(piece)
            await response.write_eof()
        except (TimeoutError, ConnectionError, StoreError):
            # It has no proper end, which the client notices: the connection is cut in the middle.
            response.force_close()
            if request.transport is not None:
                request.transport.abort()
    return response
