"""What browser libraries ask for before they send: where to, and that they may.

`routes` is mounted by `adapters.gateway.app`. Segment's library fetches the settings of its
project, RudderStack's the configuration of its source; both get the least that makes them send
everything here.
"""

import re
from typing import Any

from aiohttp import web

from adapters.gateway.answers import answer_json
from adapters.gateway.cors import allow_browsers
from adapters.gateway.host import Host
from adapters.gateway.intake import Handler, refuse_stranger

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")
_KEY = re.compile(r"[\w.:-]{1,256}", re.ASCII)


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    settings, source = _settings(host), _source(host)
    return [
        *allow_browsers("/v1/projects/{key:[^/]+}/settings", settings, "GET"),
        *allow_browsers("/v1/projects/{key:[^/]+}/settings/", settings, "GET"),
        *allow_browsers("/sourceConfig/", source, "GET"),
        *allow_browsers("/sourceConfig", source, "GET"),
    ]


def _settings(host: Host) -> Handler:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.Request)
        key = request.match_info["key"]
        if not host.write_ring.admits(key) or not _KEY.fullmatch(key):
            return refuse_stranger(host)
        return answer_json(_segment_settings(request, key))

    return answer


def _source(host: Host) -> Handler:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        admitted = host.write_ring.judge(request.headers.get("Authorization"))
        key = request.query.get("writeKey", "")
        if admitted is None:
            admitted = host.write_ring.admits(key)
        if not admitted:
            return refuse_stranger(host)
        return answer_json(_rudder_source(key if _KEY.fullmatch(key) else ""))

    return answer


def _segment_settings(request: web.BaseRequest, key: str) -> dict[str, Any]:
    """Say that the one destination is this server, at the address it was asked at."""
    destination: dict[str, Any] = {"apiKey": key}
    if _HOST.fullmatch(request.host):
        destination |= {"apiHost": f"{request.host}/v1", "protocol": request.scheme}
    allowed: dict[str, Any] = {"__default": {"enabled": True, "integrations": {}}}
    return {
        "integrations": {"Segment.io": destination},
        "plan": {"track": allowed, "identify": allowed, "group": allowed},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }


def _rudder_source(key: str) -> dict[str, Any]:
    return {
        "source": {
            "id": "nextbeat",
            "name": "nextbeat",
            "writeKey": key,
            "enabled": True,
            "workspaceId": "nextbeat",
            "config": {
                "statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}
            },
            "sourceDefinition": {"name": "Javascript", "category": None},
            "destinations": [],
            "connections": [],
            "dataplanes": {},
        },
        "updatedAt": "2026-01-01T00:00:00.000Z",
    }
