"""A real server in a process of its own, on a data folder that tests look into."""

import json
import signal
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.e2e.command_line import NEXTBEAT


class Served:
    """A server in a process of its own, whose log is read as it is written."""

    def __init__(self, shop: Path, data: Path) -> None:
        command = [NEXTBEAT, "serve", "--workspace", str(shop), "--data", str(data), "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.log: list[str] = []
        self._is_up = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._is_up.wait(60)
        port = next(json.loads(line)["port"] for line in self.log if '"ready"' in line)
        self.url = f"http://127.0.0.1:{port}"

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if '"ready"' in line:
                self._is_up.set()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(f"{self.url}{path}", data, headers, method=method)
        with urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())

    def track(self, user: str | None, event: str, **parts: object) -> None:
        call = {"userId": user, "event": event, **parts}
        self.ask("POST", "/v1/track", {name: one for name, one in call.items() if one is not None})

    def end(self, number: signal.Signals) -> None:
        """Have the process end, and know all it said."""
        self.process.send_signal(number)
        self.process.wait(timeout=30)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def serving(shop: Path, data: Path) -> Generator[Served]:
    """Run a server until the block ends, unless it was killed."""
    server = Served(shop, data)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGTERM)
            assert server.process.returncode == 0


def wait_until_sent(server: Served) -> None:
    """Wait for the messages of those who were told of to be out of the way."""
    while "nextbeat_outbox_depth 0.0" not in read_metrics(server):
        pass


def read_metrics(server: Served) -> str:
    with urlopen(f"{server.url}/metrics", timeout=30) as answer:
        return str(answer.read().decode())
