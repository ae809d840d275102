"""A call of a served journey: through the end of the process, and in what people look at."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from urllib.request import urlopen

import pytest

from tests.e2e.command_line import NEXTBEAT, nextbeat
from tests.e2e.test_cli_serve import read_port, send, serving

TOKEN = "Bearer-of-a-token-nobody-may-find"
SHOP = """
workspace: insurer
defaults: {timezone: UTC, country: ZA}
consent: {marketing: opt_out}
channels:
  email: {adapter: log, identity: email}
message_types:
  promotional: {purpose: marketing, channels: [email]}
messages:
  ready: {type: promotional, content: {email: {subject: s, body: "{{ journey.quote.premium }}"}}}
  sorry: {type: promotional, content: {email: {subject: s, body: b}}}
journeys:
  quote:
    trigger: {event: Asked}
    steps:
      - webhook:
          url: "http://127.0.0.1:PORT/{{ customer }}"
          headers: {Authorization: {env: CRM_TOKEN}}
          body: {name: "{{ profile.first_name }}"}
          timeout: 5m
          allow_private: true
        into: quote
        then: [{send: ready}]
        else: [{send: sorry}]
"""
pytestmark = pytest.mark.slow


class Service:
    """A service that answers when the test lets it."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.tokens: list[str] = []
        self.asked = threading.Semaphore(0)
        self.may_answer = threading.Event()
        kept = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                kept.ids.append(self.headers["Idempotency-Key"])
                kept.tokens.append(self.headers["Authorization"])
                self.rfile.read(int(self.headers["Content-Length"]))
                kept.asked.release()
                kept.may_answer.wait(30)
                body = b'{"premium": 850, "note": "of Ada"}'
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # whoever asked is gone

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is there
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.may_answer.set()
    made.server.shutdown()
    made.thread.join()
    made.server.server_close()


@pytest.fixture
def shop(tmp_path: Path, service: Service) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    text = SHOP.replace("PORT", str(service.port))
    (folder / "workspace.yaml").write_text(text, encoding="utf-8")
    return folder


def wait_until(holds: Callable[[], bool]) -> None:
    """Ask until it holds; each time a command is run, which takes a while."""
    until = monotonic() + 30
    while not holds():
        assert monotonic() < until


def ask(url: str) -> None:
    traits = {"email": "ada@example.com", "first_name": "Ada"}
    assert send(url, "/v1/identify", {"userId": "ada", "traits": traits}) == 200
    assert send(url, "/v1/track", {"userId": "ada", "event": "Asked"}) == 200


def read_messages(data: Path) -> list[str]:
    told = json.loads(nextbeat("explain", "ada", "--data", data, "--json").stdout)
    return [one["message"] for one in told]


def holds(data: Path, text: str) -> bool:
    files = [file for file in data.rglob("*") if file.is_file()]
    return any(text.encode() in file.read_bytes() for file in files)


def test_a_killed_server_makes_the_call_again_and_the_customer_goes_on_once(
    tmp_path: Path, shop: Path, service: Service
) -> None:
    data = tmp_path / "data"
    command = [NEXTBEAT, "serve", "--workspace", str(shop), "--data", str(data), "--port", "0"]
    environment = {**os.environ, "CRM_TOKEN": TOKEN}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stderr is not None
        try:
            ask(f"http://127.0.0.1:{read_port(server.stderr.readline)}")
            assert service.asked.acquire(timeout=30)
        finally:
            server.send_signal(signal.SIGKILL)
            server.stderr.read()
    assert read_messages(data) == []

    service.may_answer.set()
    with serving(shop, data, CRM_TOKEN=TOKEN) as url:
        wait_until(lambda: read_messages(data) == ["ready"])
        with urlopen(f"{url}/metrics", timeout=30) as answer:
            assert 'nextbeat_calls_total{outcome="answered"} 1.0' in answer.read().decode()
    assert service.ids == [service.ids[0]] * 2
    assert service.tokens == [TOKEN] * 2

    assert nextbeat("verify", "--data", data).returncode == 0
    told = json.loads(
        nextbeat("timeline", "ada", "--data", data, "--kind", "call", "--json").stdout
    )
    assert [entry["kind"] for entry in told] == ["answered", "event"]
    assert "of Ada" not in json.dumps(told)  # what is asked and answered is personal
    assert "of Ada" in nextbeat("export", "ada", "--data", data).stdout
    assert not any(
        TOKEN.encode() in file.read_bytes() for file in data.rglob("*") if file.is_file()
    )

    assert nextbeat("erase", "ada", "--data", data, "--yes").returncode == 0
    assert not holds(data, "of Ada")
    assert nextbeat("verify", "--data", data).returncode == 0


def test_a_server_does_not_start_without_the_secret_of_a_call(tmp_path: Path, shop: Path) -> None:
    done = nextbeat("serve", "--workspace", shop, "--data", tmp_path / "data", "--port", "0")
    assert done.returncode == 1
    assert "workspace.yaml:18" in done.stderr
    assert "the environment variable CRM_TOKEN is not set" in done.stderr
