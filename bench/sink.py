"""A provider that takes everything, and one that never answers, in a process of their own.

Writes the ports of both as a line of JSON, then answers each line with how many messages came.
"""

import asyncio
import json
import sys

_ANSWER = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"id":"x"}'
)
_LENGTH = b"content-length:"


class Taking(asyncio.Protocol):
    """Answers each request as soon as its body is there."""

    taken = 0

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            place = head.find(_LENGTH) + len(_LENGTH)
            size = int(head[place:].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + size:
                return
            self._buffer = self._buffer[end + 4 + size :]
            Taking.taken += 1
            self._transport.write(_ANSWER)


class Hanging(asyncio.Protocol):
    """Takes requests and says nothing."""


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(kind, "127.0.0.1", 0) for kind in (Taking, Hanging)]
    taking, hanging = (server.sockets[0].getsockname()[1] for server in servers)
    print(json.dumps({"taking": taking, "hanging": hanging}), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps({"taken": Taking.taken}), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
