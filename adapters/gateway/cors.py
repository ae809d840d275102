"""Cross-origin requests: browsers may send events from any page, and see when to try again.

Used by the modules whose routes browsers call. The write key is public and no cookie counts, so
every origin is allowed; the reading side of the gateway does not use this.
"""

import re

from aiohttp import web

from adapters.gateway.answers import PlainSuccess, spell_success
from adapters.gateway.body import expect_body
from adapters.gateway.intake import Handler

_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}")
_MAX_AGE_S = "86400"  # a browser asks again for each path; no browser remembers for longer


def allow_browsers(path: str, handler: Handler, method: str = "POST") -> list[web.RouteDef]:
    """Mount a handler so that browsers may use it: with its preflight, and its answers opened."""

    async def opened(request: web.Request) -> web.StreamResponse:
        return _open(request, await handler(request))

    async def preflight(request: web.Request) -> web.StreamResponse:
        return _answer_preflight(request, method)

    return [
        web.route(method, path, opened, expect_handler=expect_body),
        web.options(path, preflight),
    ]


def _open(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Let the page that asked read the answer, `Retry-After` included.

    Without that header in sight libraries wait twenty times as long as they are told to.
    """
    headers = opening(request)
    if headers and isinstance(response, PlainSuccess):
        response = spell_success()
    if not response.prepared:  # what was streamed has been opened by whoever began it
        response.headers.update(headers)
    return response


def opening(request: web.Request) -> dict[str, str]:
    """Give the headers that let a page of another origin read an answer; none where none asks."""
    origin = request.headers.get("Origin")
    if origin is None:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "Retry-After",
        "Vary": "Origin",
    }


def _answer_preflight(request: web.Request, method: str) -> web.StreamResponse:
    asked = request.headers.get("Access-Control-Request-Headers", "")
    headers = {
        "Access-Control-Allow-Methods": f"{method}, OPTIONS",
        "Access-Control-Max-Age": _MAX_AGE_S,
    }
    if _NAMES.fullmatch(asked):
        headers["Access-Control-Allow-Headers"] = asked
    return _open(request, web.Response(status=204, headers=headers))
