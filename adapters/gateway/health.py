"""Health, for whoever starts, stops and routes to this process. No key is needed.

`/livez` answers as long as the loop turns: when it does not, restart. `/readyz` (and `/healthz`,
its old name) says whether inputs can be taken now: when not, send them elsewhere or wait. It names
the providers that nothing can be sent by; that is no reason to send inputs elsewhere.
"""

import msgspec
from aiohttp import web

from actors.breakers import Standing
from adapters.gateway.answers import answer_json
from adapters.gateway.host import Host
from adapters.gateway.views import Health

_RETRY_S = 1


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""

    async def live(_request: web.Request) -> web.Response:
        return answer_json(Health("ok"))

    async def ready(_request: web.Request) -> web.Response:
        reason = host.runtime.unready()
        if not reason:
            troubles = [name_trouble(one) for one in host.runtime.outbox.standings() if one.cause]
            return answer_json(Health("ok", providers=troubles or msgspec.UNSET))
        response = answer_json(Health("unready", reason), 503)
        response.headers["Retry-After"] = str(_RETRY_S)
        return response

    return [
        web.get("/livez", live),
        web.get("/readyz", ready),
        web.get("/healthz", ready),
    ]


def name_trouble(standing: Standing) -> str:
    """Say what is wrong with a provider, as one word after another."""
    return f"{standing.channel}: {standing.provider} is {standing.state} ({standing.cause})"
