"""A running Nextbeat, asked over HTTP.

Used by `explain`, `quarantine` and `catalogue`. One request at a time, so the standard library's
client does; the admin key comes from the environment and never from the command line, where others
could read it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from adapters.gateway.grants import first_key
from engine.errors import NextbeatError

_KEYS = "NEXTBEAT_ADMIN_KEYS"
_TIMEOUT_S = 30.0
_SEND_TIMEOUT_S = 600.0
_PIECE_BYTES = 64 * 1024
_SUCCESSES = (200, 202)
_UNAUTHORIZED = 401


class RemoteError(NextbeatError):
    """The running Nextbeat could not be asked, or refused; the message says which."""


class Refused(msgspec.Struct, frozen=True):
    """What the server says when it does not do what it was asked."""

    code: str = ""
    message: str = ""
    path: str = "$"


class Address:
    """Where a server is; `http://` may be left out. Raises RemoteError where it can't be that."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = (
                f"{url[:80]!r} is not the address of a server: write it like http://127.0.0.1:8080"
            )
            raise RemoteError(message)
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._parts = parts

    def connect(self, timeout_s: float) -> HTTPConnection:
        """Make a connection, which opens when it is used. Raises RemoteError."""
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        try:
            return kind(self._parts.hostname or "", self._parts.port, timeout=timeout_s)
        except (HTTPException, ValueError) as error:  # a port that is none
            raise RemoteError(self.unanswered(error)) from None

    def unanswered(self, error: Exception) -> str:
        """Write that nobody answers there."""
        return f"no Nextbeat answers at {self.url}: {error}"


class Remote:
    """A server, by its URL."""

    def __init__(self, url: str) -> None:
        self._address = Address(url)

    def get(self, path: str, parameters: Mapping[str, str]) -> bytes:
        """Read a page; parameters that are empty are left out."""
        given = {name: value for name, value in parameters.items() if value}
        return self._ask("GET", f"{path}?{urlencode(given)}" if given else path)

    def stream(self, path: str, parameters: Mapping[str, str]) -> Iterator[bytes]:
        """Read what may be long, piece by piece; raises RemoteError where it has no proper end."""
        target = f"{path}?{urlencode(parameters)}" if parameters else path
        with closing(self._address.connect(_TIMEOUT_S)) as connection:
            try:
                connection.request("GET", target, headers=_authorization())
                answer = connection.getresponse()
                if answer.status not in _SUCCESSES:
                    raise RemoteError(_describe(answer.status, answer.read()))
                while piece := answer.read(_PIECE_BYTES):
                    yield piece
            except (OSError, HTTPException, ValueError) as error:
                raise RemoteError(self._address.unanswered(error)) from None

    def post(self, path: str) -> bytes:
        """Ask for something to be done."""
        return self._ask("POST", path)

    def delete(self, path: str) -> bytes:
        """Ask for something to be removed; done, or begun."""
        return self._ask("DELETE", path)

    def send(self, method: str, path: str, body: bytes, content_type: str) -> bytes:
        """Send a file, which may take the server minutes to take in."""
        return self._ask(method, path, body, content_type)

    def _ask(
        self, method: str, target: str, body: bytes | None = None, content_type: str = ""
    ) -> bytes:
        headers = _authorization()
        if content_type:
            headers["Content-Type"] = content_type
        timeout_s = _TIMEOUT_S if body is None else _SEND_TIMEOUT_S
        try:
            with closing(self._address.connect(timeout_s)) as connection:
                connection.request(method, target, body, headers)
                answer = connection.getresponse()
                said = answer.read()
        except (OSError, HTTPException, ValueError) as error:
            raise RemoteError(self._address.unanswered(error)) from None
        if answer.status not in _SUCCESSES:
            raise RemoteError(_describe(answer.status, said))
        return said


def path_of(*parts: str) -> str:
    """Write a path whose parts may hold anything."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _authorization() -> dict[str, str]:
    key = first_key(os.environ.get(_KEYS, ""))
    return {"Authorization": f"Bearer {key}"} if key else {}


def _describe(status: int, body: bytes) -> str:
    if status == _UNAUTHORIZED:
        return f"the server wants an admin key: set {_KEYS} to the one it was started with"
    try:
        refused = msgspec.json.decode(body, type=Refused)
    except msgspec.DecodeError:
        return f"the server answered {status} without saying why"
    place = "" if refused.path in {"", "$", "path"} else f"{refused.path}: "
    return f"{place}{refused.message or refused.code or status}"
