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
from engine.identities import (
    ANONYMOUS,
    ANONYMOUS_PREFIX,
    USER,
    IdentityRules,
    is_anonymous,
    read_value,
)
from engine.limits import ID_LENGTH_MAX
from engine.program.faults import suggest

_Change = Callable[[str, str], Awaitable[None]]
_UNKNOWN = ("unknown_customer",)
_NAME_MAX = 80  # of a name that is looked for among others


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""

    async def owner(request: web.Request) -> web.Response:
        read_parameters(request, NoParameters)
        namespace = _part(request, "namespace")
        for value in _read(host.runtime.program.identity, namespace, _part(request, "value")):
            customer = await _find_owner(host, namespace, value)
            if customer:
                return answer_json(Owner(namespace, value, customer))
        raise UnknownError("this identity is nobody's")

    async def merge(request: web.Request) -> web.StreamResponse:
        return await _change(host, request, "merged", host.runtime.partings.merge)

    async def unmerge(request: web.Request) -> web.StreamResponse:
        return await _change(host, request, "unmerged", host.runtime.partings.unmerge)

    return [
        web.get("/v1/identities/{namespace:[^/]+}/{value:[^/]+}", guard(host, owner)),
        web.post("/v1/customers/{id:[^/]+}/merge/{other:[^/]+}", guard(host, merge)),
        web.post("/v1/customers/{id:[^/]+}/unmerge/{other:[^/]+}", guard(host, unmerge)),
    ]


def _read(rules: IdentityRules, namespace: str, stated: str) -> list[str]:
    """Give the forms in which a value may be kept. Raises UnknownError."""
    whole = [rule.namespace for rule in rules.rules if len(rule.parts) > 1]
    if namespace in (USER, ANONYMOUS, *whole):
        return [stated]
    known = rules.namespaces.get(namespace)
    if known is None:
        indexed = [one.name for one in rules.namespaces.values() if one.is_indexed]
        near = suggest(namespace[:_NAME_MAX], (USER, ANONYMOUS, *indexed), "namespaces")
        raise UnknownError(f"the workspace has no such namespace; {near}")
    if not known.is_indexed:
        message = f"{namespace} says who somebody is only together with others, by a rule"
        raise UnknownError(message)
    value = read_value(known, {known.traits[0]: stated}, rules)
    # Where only hashes are kept, a hash that was seen somewhere may be asked for as well.
    forms = [value, stated.lower()] if known.is_hashed else [value]
    return [form for form in forms if form]


async def _find_owner(host: Host, namespace: str, value: str) -> str | None:
    """Tell whose a value is, as it is kept; who turned out to be another customer is that one."""
    name = await host.runtime.resolve(namespace, value)
    if namespace == ANONYMOUS:
        name = name or ANONYMOUS_PREFIX + value
    elif namespace == USER and not is_anonymous(value):
        name = value if await host.runtime.profile(value) is not None else name
    profile = await host.runtime.profile(name) if name else None
    while profile is not None and profile.merged_into:
        profile = await host.runtime.profile(profile.merged_into)
    return profile.customer if profile is not None else None


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
