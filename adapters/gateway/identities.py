"""Who is who, and saying so: whose an identity is, two customers made one, and made two again.

`routes` is mounted by `adapters.gateway.app`. All of it needs the admin key; a change is answered
when it is durable.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from adapters.gateway.acts import note_act
from adapters.gateway.answers import answer_json, refuse, succeed
from adapters.gateway.host import Host
from adapters.gateway.parameters import NoParameters, read_parameters
from adapters.gateway.query import UnknownError, guard
from adapters.gateway.views import Owner
from engine.errors import InputError, OverloadError
from engine.limits import ID_LENGTH_MAX

_Change = Callable[[str, str], Awaitable[None]]
_UNKNOWN = ("unknown_customer",)


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""

    async def owner(request: web.Request) -> web.Response:
        read_parameters(request, NoParameters)
        namespace, value = _part(request, "namespace"), _part(request, "value")
        customer = await host.runtime.resolve(namespace, value)
        if not customer:
            raise UnknownError("this identity is nobody's")
        return answer_json(Owner(namespace, value, customer))

    async def merge(request: web.Request) -> web.StreamResponse:
        return await _change(host, request, "merged", host.runtime.partings.merge)

    async def unmerge(request: web.Request) -> web.StreamResponse:
        return await _change(host, request, "unmerged", host.runtime.partings.unmerge)

    return [
        web.get("/v1/identities/{namespace:[^/]+}/{value:[^/]+}", guard(host, owner)),
        web.post("/v1/customers/{id:[^/]+}/merge/{other:[^/]+}", guard(host, merge)),
        web.post("/v1/customers/{id:[^/]+}/unmerge/{other:[^/]+}", guard(host, unmerge)),
    ]


async def _change(
    host: Host, request: web.Request, act: str, change: _Change
) -> web.StreamResponse:
    read_parameters(request, NoParameters)
    customer, other = _part(request, "id"), _part(request, "other")
    try:
        await change(customer, other)
    except OverloadError as error:
        return refuse(503, "overloaded", str(error), retry_after_s=error.retry_after_s)
    except InputError as error:
        if error.code in _UNKNOWN:
            raise UnknownError(error.message) from None
        raise
    await note_act(host, request, act, customer, other)
    return succeed(request)


def _part(request: web.Request, name: str) -> str:
    given = request.match_info[name]
    if len(given) > ID_LENGTH_MAX:
        message = f"an id has at most {ID_LENGTH_MAX} characters"
        raise InputError("bad_id", message, "path")
    return given
