"""`nextbeat serve`: from the first event over HTTP to the explanation, and through a restart."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.e2e.command_line import NEXTBEAT, SHOP, nextbeat, write_shop

ROOT = Path(__file__).resolve().parents[2]
ANYTIME = SHOP.replace(', window: "09:00-20:00"', "")
pytestmark = pytest.mark.slow


@contextmanager
def serving(shop: Path, data: Path, **environment: str) -> Generator[str]:
    """Run a server until the block ends; gives its URL."""
    command = [NEXTBEAT, "serve", "--workspace", str(shop), "--data", str(data), "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as server:
        assert server.stderr is not None
        try:
            yield f"http://127.0.0.1:{read_port(server.stderr.readline)}"
        finally:
            server.send_signal(signal.SIGTERM)
            server.stderr.read()
        assert server.wait(timeout=30) == 0


def read_port(read_line: Callable[[], str]) -> int:
    while line := read_line():
        said = json.loads(line)
        if said["event"] == "ready":
            return int(said["port"])
    message = "the server ended before it was ready"
    raise AssertionError(message)


def send(url: str, path: str, body: dict[str, object]) -> int:
    request = Request(
        f"{url}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer w-1"},
    )
    with urlopen(request, timeout=30) as answer:
        return int(answer.status)


def test_what_is_served_is_explained_live_and_after_the_stop(tmp_path: Path) -> None:
    shop, data = write_shop(tmp_path, ANYTIME), tmp_path / "data"
    with serving(shop, data) as url:
        assert send(url, "/v1/identify", {"userId": "ana", "traits": {"email": "a@b.co"}}) == 200
        assert send(url, "/v1/track", {"userId": "ana", "event": "Signed Up"}) == 200
        live = nextbeat("explain", "ana", "--url", url)
        assert "welcome: sent by email" in live.stdout
        beside = nextbeat("explain", "ana", "--data", data)
        assert beside.stdout == live.stdout
        decisions = json.loads(nextbeat("explain", "ana", "--url", url, "--json").stdout)
        one = nextbeat("explain", decisions[0]["decision_id"], "--url", url)
        assert one.stdout == live.stdout
    assert nextbeat("explain", "ana", "--data", data).stdout == live.stdout


def test_filters_ask_the_server_for_the_same_as_the_folder(tmp_path: Path) -> None:
    shop, data = write_shop(tmp_path, ANYTIME), tmp_path / "data"
    with serving(shop, data) as url:
        send(url, "/v1/identify", {"userId": "ana", "traits": {"email": "a@b.co"}})
        send(url, "/v1/track", {"userId": "ana", "event": "Signed Up"})
        for filters in (
            ["--message", "welcome", "--limit", "1"],
            ["--outcome", "drop"],
            ["--journey", "onboarding", "--reason", "sent"],
            ["--since", "2100-01-01T00:00:00Z"],
        ):
            asked = nextbeat("explain", "ana", "--json", "--url", url, *filters)
            read = nextbeat("explain", "ana", "--json", "--data", data, *filters)
            assert (asked.returncode, asked.stdout) == (0, read.stdout)


def test_whether_a_message_may_go_is_answered_alike_by_server_and_folder(tmp_path: Path) -> None:
    shop, data = write_shop(tmp_path), tmp_path / "data"
    with serving(shop, data) as url:
        send(url, "/v1/identify", {"userId": "ana", "traits": {"email": "a@b.co"}})
        night = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}T21:00:00Z"
        for customer in ("ana", "no/body"):
            question = ("explain", customer, "--message", "welcome", "--at", night)
            asked = nextbeat(*question, "--url", url)
            assert asked.returncode == 0
            assert "may not go to" in asked.stdout
            assert nextbeat(*question, "--data", data).stdout == asked.stdout
        now = nextbeat("explain", "ana", "--message", "welcome", "--url", url, "--json")
        assert json.loads(now.stdout)["known"] is True
        refused = nextbeat("explain", "ana", "--message", "wellcome", "--url", url)
        assert refused.returncode == 1
        assert "did you mean 'welcome'?" in refused.stderr


def test_an_unknown_customer_is_said_to_be_unknown(tmp_path: Path) -> None:
    with serving(write_shop(tmp_path), tmp_path / "data") as url:
        done = nextbeat("explain", "no/body", "--url", url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no customer with this id" in done.stderr


def test_the_admin_key_comes_from_the_environment(tmp_path: Path) -> None:
    keys = {"NEXTBEAT_ADMIN_KEYS": "a-1,a-2", "NEXTBEAT_WRITE_KEYS": "w-1"}
    with serving(write_shop(tmp_path), tmp_path / "data", **keys) as url:
        refused = nextbeat("quarantine", "list", "--url", url)
        assert refused.returncode == 1
        assert "set NEXTBEAT_ADMIN_KEYS" in refused.stderr
        admitted = nextbeat("quarantine", "list", "--url", url, NEXTBEAT_ADMIN_KEYS="a-1")
        assert admitted.stdout == "nothing is in quarantine\n"


def test_an_item_that_was_not_understood_is_listed_by_the_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(write_shop(tmp_path), data) as url:
        send(url, "/v1/batch", {"batch": [{"type": "track", "event": 7, "userId": "ana"}]})
        listed = nextbeat("quarantine", "list", "--url", url, "--json")
        assert [one["number"] for one in json.loads(listed.stdout)] == [1]
        assert nextbeat("quarantine", "list", "--data", data, "--json").stdout == listed.stdout
        shown = nextbeat("quarantine", "show", "1", "--url", url)
        assert '"event":7' in shown.stdout.replace(" ", "")


def test_the_client_shown_in_the_documentation_works(tmp_path: Path) -> None:
    snippet = ROOT / "docs" / "snippets" / "segment_client.py"
    with serving(write_shop(tmp_path), tmp_path / "data") as url:
        environment = {**os.environ, "NEXTBEAT_URL": url}
        subprocess.run([sys.executable, snippet], env=environment, check=True, timeout=60)
        with urlopen(f"{url}/v1/customers/ana", timeout=30) as answer:
            customer = json.load(answer)
    assert customer["traits"] == {"first_name": "Ana", "email": "ana@example.com"}


def test_a_workspace_with_problems_is_not_served(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, SHOP.replace("[email]", "[emial]"))
    done = nextbeat("serve", "--workspace", shop, "--data", tmp_path / "data", "--port", "0")
    assert done.returncode == 1
    assert "did you mean 'email'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_keys_others_are_not_listened_to(tmp_path: Path) -> None:
    shop, data = write_shop(tmp_path), tmp_path / "data"
    done = nextbeat("serve", "--workspace", shop, "--data", data, "--host", "0.0.0.0")
    assert done.returncode == 1
    assert "NEXTBEAT_WRITE_KEYS is not set" in done.stderr


def test_two_servers_do_not_share_a_data_folder(tmp_path: Path) -> None:
    shop, data = write_shop(tmp_path), tmp_path / "data"
    with serving(shop, data):
        done = nextbeat("serve", "--workspace", shop, "--data", data, "--port", "0")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_ends_the_start_with_a_message(tmp_path: Path) -> None:
    shop = write_shop(tmp_path)
    with serving(shop, tmp_path / "data") as url:
        port = url.rpartition(":")[2]
        done = nextbeat("serve", "--workspace", shop, "--data", tmp_path / "other", "--port", port)
    assert done.returncode == 1
    assert "address already in use: stop what listens there" in done.stderr
    assert "Errno" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_that_is_missing_is_named_with_its_file_and_line(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, SHOP.replace("adapter: log", "adapter: smtp"))
    done = nextbeat("serve", "--workspace", shop, "--data", tmp_path / "data", "--port", "0")
    assert done.returncode == 1
    assert "workspace.yaml:" in done.stderr
    assert "set NEXTBEAT_SMTP_HOST" in done.stderr


def test_a_channel_that_was_not_made_at_start_is_refused_while_running(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, ANYTIME)
    command = [NEXTBEAT, "serve", "--workspace", str(shop), "--data", str(tmp_path / "data")]
    with subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        read_port(server.stderr.readline)
        text = ANYTIME.replace("channels:\n", "channels:\n  other: {adapter: log}\n", 1)
        (shop / "workspace.yaml").write_text(text, encoding="utf-8")
        server.send_signal(signal.SIGHUP)
        said = json.loads(server.stderr.readline())
        server.send_signal(signal.SIGTERM)
        server.stderr.read()
    assert said["event"] == "workspace refused; the one before goes on"
    (problem,) = said["problems"]
    assert "channels.other: this channel is new" in problem


def test_each_problem_of_a_refused_workspace_is_logged_as_a_text_of_its_own(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, ANYTIME)
    command = [NEXTBEAT, "serve", "--workspace", str(shop), "--data", str(tmp_path / "data")]
    with subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        read_port(server.stderr.readline)
        text = ANYTIME.replace("[email]", "[emial]").replace("send: welcome", "send: welcom")
        (shop / "workspace.yaml").write_text(text, encoding="utf-8")
        server.send_signal(signal.SIGHUP)
        said = json.loads(server.stderr.readline())
        server.send_signal(signal.SIGTERM)
        server.stderr.read()
    first, second = said["problems"]
    assert first.endswith("unknown channel 'emial' (did you mean 'email'?)")
    assert second.endswith("unknown message 'welcom' (did you mean 'welcome'?)")


def children(pid: int) -> list[int]:
    """List the processes a process has started: the one that writes is among them."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in lists for child in file.read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can limit another process")
def test_a_server_whose_disk_fails_acknowledges_nothing_more_and_ends(tmp_path: Path) -> None:
    shop, data = write_shop(tmp_path, ANYTIME), tmp_path / "data"
    command = [NEXTBEAT, "serve", "--workspace", str(shop), "--data", str(data), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        url = f"http://127.0.0.1:{read_port(server.stderr.readline)}"
        assert send(url, "/v1/track", {"userId": "ana", "event": "Seen"}) == 200
        # From now on each write to a file fails, as on a disk that is dying.
        for pid in (server.pid, *children(server.pid)):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, 1))
        with pytest.raises(HTTPError) as refused:
            send(url, "/v1/track", {"userId": "ana", "event": "Lost"})
        refused.value.close()
        told = server.stderr.read()
    assert refused.value.code == 503
    assert server.returncode == 1
    assert "the store is broken" in told
