"""What a customer allows, stated on its own: `POST /v1/consent`, one statement or a list.

`routes` is mounted by `adapters.gateway.app`. An item names the customer (`userId` or
`anonymousId`) and is a statement itself (`purpose`, `channel`, `status`, `at`, `source`) or has
several of them in `consents`.
"""

from typing import Any

import msgspec
from aiohttp import web

from adapters.gateway.cors import allow_browsers
from adapters.gateway.host import Host
from adapters.gateway.intake import Portion, take_body
from adapters.gateway.wire import is_list, read_list

_SOURCE = "consent"
_STATEMENT = (
    *("purpose", "channel", "status", "at", "source"),
    *("basis", "proof", "expires_at", "message_type"),
)
_PLACE = "context.consent"


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    handler = take_body(host, _read_statements, _SOURCE)
    return allow_browsers("/v1/consent", handler) + allow_browsers("/v1/consent/", handler)


def _read_statements(body: bytes, portion: Portion, _request: web.BaseRequest) -> None:
    if is_list(body):
        for index, raw in enumerate(read_list(body, portion.envelope.oddities)):
            portion.take_foreign(bytes(raw), translate_statement, index)
    else:
        portion.take_foreign(body, translate_statement)
        portion.insist_on_json(body)
    portion.errors = [
        msgspec.structs.replace(fault, path=_point_home(fault.path)) for fault in portion.errors
    ]


def translate_statement(value: dict[str, Any]) -> dict[str, Any]:
    """Bring a statement into the shape of a call with consent in its context."""
    statements = value.get("consents")
    if statements is None:
        statements = [{key: value[key] for key in _STATEMENT if key in value}]
    call = {key: value[key] for key in _CALL if key in value}
    return {**call, "type": "consent", "context": {"consent": statements, "active": False}}


_CALL = ("userId", "anonymousId", "messageId", "timestamp", "originalTimestamp", "sentAt")


def _point_home(path: str) -> str:
    """Say where the fault is in what was sent, rather than in what it became."""
    if path.startswith(f"{_PLACE}[0]."):
        return path.removeprefix(f"{_PLACE}[0].")
    return "consents" + path.removeprefix(_PLACE) if path.startswith(_PLACE) else path
