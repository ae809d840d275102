"""Files of events to a running server: `nextbeat ingest --url`.

One request at a time over one connection: the server makes many of them durable together with what
others send. How far a file came is written down beside this user's settings, by server and file.

*Rules*
- A line that is no JSON is listed here and not sent; what else is wrong with a line the server
  says, and keeps the line in quarantine.
- A server that is busy is asked again when it says so; one that does not answer, a few times.
"""

import os
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import click
import msgspec

from adapters.cli.remote import Address, RemoteError
from adapters.gateway.answers import Refusal, Success
from adapters.ingest import (
    Loaded,
    Portion,
    Position,
    Progress,
    find_bookmark,
    open_source,
)
from engine.errors import InputError
from engine.intake.mending import mend_json
from engine.limits import BODY_BYTES_MAX

_KEYS = "NEXTBEAT_WRITE_KEYS"
_TIMEOUT_S = 60.0
_TRIES_MAX = 8
_PAUSE_S_MAX = 30.0
_OK, _BUSY, _UNAUTHORIZED = 200, (429, 503), 401
_HEAD, _TAIL = b'{"batch":[', b"]}"
_ROOM = BODY_BYTES_MAX - len(_HEAD) - len(_TAIL)

_Line = tuple[int, bytes]
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


def upload_file(
    url: str, path: Path, progress: Progress, *, is_history: bool, from_start: bool
) -> Loaded:
    """Send a file to a server, from where an earlier run ended. Ctrl-C ends it in good order."""
    loaded = Loaded()
    server = _Server(url, "/v1/history" if is_history else "/v1/batch")
    with open_source(path) as source:
        folder = Path(click.get_app_dir("nextbeat", force_posix=True)) / "ingest"
        bookmark = find_bookmark(folder, path, server.address.url)
        start = Position()
        if bookmark is not None:
            start = bookmark.begin() if from_start else bookmark.read()
            source.skip(start)
        loaded.skipped_lines = start.line
        begun_s, after = time.monotonic(), start
        try:
            for portion in source.portions(start):
                _send(server, portion, loaded)
                after = portion.after
                loaded.seconds = time.monotonic() - begun_s
                progress(portion.done_bytes, source.total_bytes, loaded.events)
                if bookmark is not None:
                    bookmark.save(after, time.monotonic())
            loaded.is_complete = True
        except KeyboardInterrupt:
            pass
        finally:
            if bookmark is not None:
                bookmark.save(after, time.monotonic(), is_last=True)
            server.close()
    return loaded


def _send(server: "_Server", portion: Portion, loaded: Loaded) -> None:
    loaded.lines += len(portion.lines)
    readable: list[_Line] = []
    for number, line in portion.lines:
        try:
            readable.append((number, _readable(line)))
        except InputError as error:
            loaded.reject(number, error.code, error.path, error.message)
    for lines in _fit(readable, loaded):
        faults = server.send(_HEAD + b",".join(line for _, line in lines) + _TAIL).errors
        loaded.events += len(lines) - len(faults)
        for fault in faults:
            loaded.reject(lines[fault.index][0], fault.code, fault.path, fault.message)


def _readable(line: bytes) -> bytes:
    """Give a line as JSON that does not spoil the lines beside it. Raises InputError."""
    try:
        _decode_raw(line)
        line.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return mend_json(line, [])
    return line.strip()


def _fit(lines: list[_Line], loaded: Loaded) -> Iterator[list[_Line]]:
    """Part lines into what fits into one body each."""
    part: list[_Line] = []
    size = 0
    for number, line in lines:
        if len(line) > _ROOM:
            message = f"a body may have {BODY_BYTES_MAX} bytes, this line has {len(line)}"
            loaded.reject(number, "too_large", "$", message)
            continue
        if size + len(line) + 1 > _ROOM:
            yield part
            part, size = [], 0
        part.append((number, line))
        size += len(line) + 1
    if part:
        yield part


class _Server:
    """A server that takes batches, over one connection that is kept."""

    def __init__(self, url: str, path: str) -> None:
        self.address = Address(url)
        self._connection = self.address.connect(_TIMEOUT_S)
        self._path = path
        key = os.environ.get(_KEYS, "").partition(",")[0].strip()
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def send(self, body: bytes) -> Success:
        """Have a body taken, however often it takes. Raises RemoteError."""
        failure = ""
        for tried in range(_TRIES_MAX):
            pause_s = min(0.25 * 2**tried, _PAUSE_S_MAX)
            try:
                status, retry_after, answer = self._ask(body)
            except (OSError, HTTPException) as error:
                self._connection.close()
                failure = self.address.unanswered(error)
            else:
                if status == _OK:
                    return msgspec.json.decode(answer, type=Success)
                failure = _describe(status, answer)
                if status not in _BUSY:
                    break
                pause_s = max(pause_s, retry_after)
            time.sleep(pause_s)
        raise RemoteError(failure)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _ask(self, body: bytes) -> tuple[int, float, bytes]:
        self._connection.request("POST", self._path, body, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        retry_after = response.headers.get("Retry-After", "")
        return response.status, float(retry_after) if retry_after.isdigit() else 0.0, answer


def _describe(status: int, answer: bytes) -> str:
    if status == _UNAUTHORIZED:
        return f"the server wants a write key: set {_KEYS} to one it was started with"
    try:
        refused = msgspec.json.decode(answer, type=Refusal)
    except msgspec.DecodeError:
        return f"the server answered {status} without saying why"
    return refused.message
