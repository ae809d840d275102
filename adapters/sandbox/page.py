"""The sandbox's own routes: what came in, as a page and as JSON, and answers to it.

Mounted by `adapters.sandbox.server`. Only names of this machine are answered to, so that a page of
elsewhere can't read along by a name that leads here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from adapters.sandbox.book import Message
from adapters.sandbox.office import Office
from adapters.sandbox.standin import Teller, json_answer
from engine.errors import InputError
from engine.instants import format_instant
from engine.program.templates import compile_template

_SHOWN_MAX = 100
_LISTED_MAX = 1_000
_ANSWERABLE = frozenset({"sms", "whatsapp", "rcs", "email"})
_HERE = frozenset({"127.0.0.1", "localhost"})
_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 48rem; margin: 0 auto; padding: 1rem; }
article { border-top: 1px solid #767676; padding: .5rem 0; }
article p { margin: .25rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: .25rem solid; margin: 0;
  padding-left: .75rem; }
input, button { font: inherit; min-height: 1.75rem; }
.note { border-left: .25rem solid; padding-left: .75rem; }
"""
_PAGE = compile_template(
    (Path(__file__).parent / "page.html").read_text("utf-8").replace("{{ style }}", _STYLE),
    html=True,
    rule="page.html",
)
_POLICY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
}


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"sender": "from"}):
    """An answer, as it is posted. Without a provider it is who sent the latest message."""

    channel: str
    sender: str
    text: str
    provider: str = ""


class Window:
    """What a developer sees of the sandbox."""

    def __init__(self, office: Office, stands: Mapping[str, Teller]) -> None:
        self._office = office
        self._stands = stands

    def routes(self) -> list[web.RouteDef]:
        """List the routes."""
        return [
            web.get("/", self._show),
            web.get("/sandbox/messages", self._list),
            web.delete("/sandbox/messages", self._clear),
            web.post("/sandbox/reply", self._reply),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        _check_host(request)
        found = self._office.book.find()
        views = [_view(message) for message, _ in zip(found, range(_SHOWN_MAX), strict=False)]
        for view in views:
            view["told"] = ", ".join(view["told"])
            view["answerable"] = not view["refused"] and view["channel"] in _ANSWERABLE
        text = _PAGE.render({"total": len(self._office.book), "messages": views})
        return web.Response(text=text, content_type="text/html", headers=_POLICY)

    async def _list(self, request: web.Request) -> web.Response:
        """List messages, newest first: `channel`, `provider` and `to` choose among them."""
        _check_host(request)
        query = request.query
        found = self._office.book.find(
            channel=query.get("channel", ""),
            provider=query.get("provider", ""),
            to=query.get("to", ""),
        )
        views = [_view(message) for message, _ in zip(found, range(_LISTED_MAX), strict=False)]
        return json_answer({"messages": views, "total": len(self._office.book)})

    async def _clear(self, request: web.Request) -> web.Response:
        _check_host(request)
        self._office.book.clear()
        return web.Response(status=204)

    async def _reply(self, request: web.Request) -> web.Response:
        _check_host(request)
        raw = await request.read()
        is_form = not raw.lstrip().startswith(b"{")  # whatever `curl -d` says that it is
        try:
            written = dict(parse_qsl(raw.decode())) if is_form else msgspec.json.decode(raw)
            reply = msgspec.convert(written, Reply)
            await self._answer(reply)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return json_answer({"error": str(error)}, 400)
        except InputError as error:
            return json_answer({"error": error.message}, 400)
        if is_form:
            raise web.HTTPSeeOther("/")
        return json_answer({"status": "answered"}, 202)

    async def _answer(self, reply: Reply) -> None:
        name = reply.provider
        if not name:
            found = self._office.book.find(channel=reply.channel, to=reply.sender, refused=False)
            latest = next(found, None)
            if latest is None:
                message = f"{reply.sender} was sent nothing on {reply.channel!r}: name a provider"
                raise InputError("provider", message)
            name = latest.draft.provider
        stand = self._stands.get(name)
        if stand is None:
            raise InputError("provider", f"there is no {name!r}: {', '.join(self._stands)}")
        await self._office.reply(stand, reply.channel, reply.sender, reply.text)


def _check_host(request: web.Request) -> None:
    if request.host.rpartition(":")[0] not in _HERE and request.host not in _HERE:
        raise web.HTTPMisdirectedRequest(text="the sandbox is 127.0.0.1 or localhost")


def _view(message: Message) -> dict[str, Any]:
    draft = message.draft
    return {
        "id": message.id,
        "at": format_instant(message.at),
        "provider": draft.provider,
        "channel": draft.channel,
        "to": draft.to,
        "from": draft.sender,
        "text": draft.text,
        "reference": draft.reference,
        "fields": draft.fields,
        "fate": message.fate.value,
        "refused": message.refused,
        "told": list(message.told),
    }
