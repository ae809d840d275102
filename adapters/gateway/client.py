"""The browser client of the inbox at `/inbox.js`, and in development a page that shows it at work.

Mounted by `adapters.gateway.inbox`. The page makes a token for whichever customer it is asked for,
so it is there only where anybody may look at everything anyway: without admin keys, which is
possible on this machine alone.
"""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from adapters.gateway.host import Host
from adapters.signing import Signer

SCRIPT_PATH, SAMPLE_PATH = "/inbox.js", "/inbox/sample"
_FOLDER = Path(__file__).parent / "html"
_SCRIPT = (_FOLDER / "inbox.js").read_text("utf-8")
_STYLE = (_FOLDER / "style.css").read_text("utf-8")
_SAMPLE = (_FOLDER / "sample.js").read_text("utf-8")
_PAGE = (_FOLDER / "inbox.html").read_text("utf-8").replace("{{ style }}", _STYLE)
_SCRIPT_HEADERS = {
    "Cache-Control": "max-age=3600",
    "Access-Control-Allow-Origin": "*",  # a page of another origin imports it
    "X-Content-Type-Options": "nosniff",
}


def routes(host: Host, signer: Signer | None) -> list[web.RouteDef]:
    """List the routes; without a signer the page shows no token, and needs none."""

    async def script(_request: web.Request) -> web.Response:
        return web.Response(text=_SCRIPT, content_type="text/javascript", headers=_SCRIPT_HEADERS)

    async def sample(request: web.Request) -> web.Response:
        customer = request.query.get("customer", "") or "u1"
        token = "" if signer is None else signer.inbox_token(customer)
        return _show(token)

    mounted = [web.get(SCRIPT_PATH, script)]
    if host.admin_ring.is_open:
        mounted.append(web.get(SAMPLE_PATH, sample))
    return mounted


def _show(token: str) -> web.Response:
    """Write the page; nothing but what is written here may run on it."""
    script = _SAMPLE.replace("{{ token }}", token)
    policy = (
        f"default-src 'none'; script-src 'self' {_hash(script)}; style-src {_hash(_STYLE)}; "
        "connect-src 'self' ws:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": policy}
    headers["Referrer-Policy"] = "no-referrer"
    page = _PAGE.replace("{{ script }}", script)
    return web.Response(text=page, content_type="text/html", headers=headers)


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
