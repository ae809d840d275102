"""What became of messages, told by whoever delivered them: `POST /v1/receipts`, one or a list.

`routes` is mounted by `adapters.gateway.app`. Items have the shape of a receipt in an event file.
"""

from aiohttp import web

from adapters.gateway.cors import allow_browsers
from adapters.gateway.host import Host
from adapters.gateway.intake import Portion, take_body
from adapters.gateway.wire import is_list, read_list

_SOURCE = "receipts"


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    handler = take_body(host, _read_receipts, _SOURCE, "receipt")
    return allow_browsers("/v1/receipts", handler) + allow_browsers("/v1/receipts/", handler)


def _read_receipts(body: bytes, portion: Portion, _request: web.BaseRequest) -> None:
    if is_list(body):
        for index, raw in enumerate(read_list(body, portion.envelope.oddities)):
            portion.take(bytes(raw), index)
    else:
        portion.take(body)
        portion.insist_on_json(body)
