"""Processes of a bench: one server, one load generator, a data folder on the real disk."""

import http.client
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.shop import batch, identifies

TIMESTAMP = "2026-03-03T08:00:00.000Z"


class Process:
    """A child that takes a line of JSON and answers with one."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> dict[str, Any]:
        """Wait for the child's next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            message = f"{self._process.args!r} ended with {self._process.wait()}"
            raise RuntimeError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, job: dict[str, Any] | str) -> dict[str, Any]:
        """Give the child a job and wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write((job if isinstance(job, str) else json.dumps(job)) + "\n")
        self._process.stdin.flush()
        return self.read()

    def end(self) -> None:
        """Close the child's input and wait until it has stopped."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def kill(self) -> None:
        """End the child the hard way, as a power cut would end the process."""
        self._process.kill()
        self._process.wait()


class Stage:
    """A server and a client for one bench; the data folder goes away with it."""

    def __init__(self, *, customers: int = 10_000) -> None:
        self.customers = customers
        self.data = Path(tempfile.mkdtemp(prefix="nextbeat-bench-", dir=Path.cwd()))
        self.server = Process("bench.server", str(self.data))
        self.client = Process("bench.client")
        self.seed = 0

    def __enter__(self) -> Self:
        """Wait for the server and introduce the customers."""
        self.ports = self.server.read()
        self.introduce(range(self.customers))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop both and remove the data."""
        self.client.end()
        self.server.end()
        shutil.rmtree(self.data, ignore_errors=True)

    def introduce(self, numbers: range) -> None:
        """Identify customers through the gateway."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["port"])
        items: list[bytes] = []
        for item in identifies(numbers, TIMESTAMP):
            items.append(item)
            if len(items) == 1_000:
                post(connection, items)
                items = []
        if items:
            post(connection, items)
        connection.close()

    def load(self, target: str, **job: Any) -> dict[str, Any]:
        """Have the load generator send events never sent before to `port` or `noop`."""
        self.seed += 1
        return self.client.ask(
            {
                "kind": "http",
                "port": self.ports[target],
                "seed": self.seed,
                "customers": self.customers,
                "timestamp": TIMESTAMP,
                **job,
            }
        )

    def stats(self) -> dict[str, Any]:
        """Ask the server what it counts."""
        return self.server.ask("stats")


def post(connection: Any, items: list[bytes]) -> None:
    """Send one batch and insist on success."""
    body = batch(items)
    connection.request("POST", "/v1/batch", body, {"Authorization": "Basic a2V5Og=="})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200 or b'"errors"' in text:
        message = f"{answer.status}: {text[:300]!r}"
        raise RuntimeError(message)
