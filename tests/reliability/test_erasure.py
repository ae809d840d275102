"""Erasure on a real server: a scan of the data folder finds nothing of who was erased."""

import json
import os
import signal
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.command_line import nextbeat, write_shop
from tests.reliability.figures import keep
from tests.reliability.served import Served, read_metrics, serving, wait_until_sent
from tests.reliability.traces import find_traces, forms_of

SHOP = """
workspace: shop
defaults: {timezone: Africa/Johannesburg, country: ZA}
consent: {marketing: opt_out}
channels:
  email: {adapter: log, identity: email}
  in_app: {adapter: inbox}
message_types:
  promotional: {purpose: marketing, channels: [email]}
  notice: {purpose: service, channels: [in_app]}
messages:
  welcome:
    type: promotional
    content: {email: {subject: "{{ profile.first_name }}", body: "{{ event.note }} said"}}
  hello: {type: notice, content: {in_app: {title: "{{ profile.first_name }}", body: "hello"}}}
journeys:
  onboarding: {trigger: {event: Signed Up}, steps: [{send: welcome}, {send: hello}]}
  later: {trigger: {event: Asked}, steps: [{wait: 3h}, {send: welcome}]}
"""
# In every place one can think of. What the workspace says itself may stay.
TEXTS = (
    "ursula-8841", "a-ursula-dev77", "ursula.q@mail.test", "+27821230987", "Ursulinchen",
    "xq-first-note", "xq-later-note", "xq-proof", "xq-refused", "xq-alias-5", "10.99.88.77",
)  # fmt: skip
DAY = "2026-01-01T10:00:00Z"


def fill(server: Served, count: int = 5) -> None:
    """Put the texts everywhere, among other people."""
    user, anonymous, mail, phone, name, *_ = TEXTS
    for number in range(count):
        other = f"other-{number}"
        server.ask("POST", "/v1/identify", {"userId": other, "traits": {"email": f"{other}@x.yz"}})
        server.track(other, "Signed Up", properties={"note": "nothing"})
    server.track(None, "Seen", anonymousId=anonymous, context={"ip": "10.99.88.77"})
    traits = {"email": mail, "phone": phone, "first_name": name}
    identify = {"userId": user, "anonymousId": anonymous, "traits": traits}
    server.ask("POST", "/v1/identify", identify)
    server.ask("POST", "/v1/alias", {"userId": user, "previousId": "xq-alias-5"})
    server.track(user, "Signed Up", properties={"note": "xq-first-note"})
    server.track(user, "Asked", properties={"note": "xq-later-note"})
    consent = {"purpose": "marketing", "channel": "email", "status": "granted"}
    server.ask("POST", "/v1/consent", {"userId": user, **consent, "source": "xq-proof"})
    bad = {"userId": user, "type": "track", "properties": {"note": "xq-refused"}}
    server.ask("POST", "/v1/batch", {"batch": [bad]})
    server.ask("POST", "/v1/batch", {"batch": [{"userId": "other-1", "type": "track"}]})


def find_left(data: Path) -> list[str]:
    return find_traces(data, TEXTS)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_shop(tmp_path, SHOP)


def test_the_scan_finds_every_form_of_a_text(tmp_path: Path) -> None:
    for number, form in enumerate(forms_of("ursula-8841")):
        (tmp_path / "file").write_bytes(os.urandom(3 + number) + form + os.urandom(5))
        assert find_traces(tmp_path, ["ursula-8841"])
    (tmp_path / "file").write_bytes(os.urandom(99))
    assert find_traces(tmp_path, ["ursula-8841"]) == []


def test_a_scan_finds_nothing_of_who_was_erased(shop: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(shop, data) as server:
        fill(server)
        wait_until_sent(server)
        before = find_left(data)
        assert {one.split(" at ")[0] for one in before} == set(TEXTS)
        assert any("inbox.db" in one for one in before)
        status, told = server.ask("DELETE", f"/v1/customers/{quote(TEXTS[0])}?wait=60")
        assert (status, told["state"]) == (200, "done")
        assert find_left(data) == []
        server.track(TEXTS[0], "Seen", timestamp=DAY)
        server.track(None, "Seen", anonymousId=TEXTS[1], timestamp=DAY)
        for name, text in (("userId", TEXTS[0]), ("anonymousId", TEXTS[1])):
            server.ask("POST", "/v1/batch", {"batch": [{name: text, "timestamp": DAY}]})
        assert find_left(data) == []
        assert 'nextbeat_events_total{result="erased"} ' in read_metrics(server)
        listed = server.ask("GET", "/v1/quarantine")[1]["items"]
        assert len(listed) == 1
        beside = nextbeat("verify", "--data", data)
        assert beside.returncode == 0, beside.stdout + beside.stderr
    assert find_left(data) == []
    # A channel of the adapter `log` stands in for a provider, who is told whom a message is for.
    told_by_us = "".join(line for line in server.log if '"nextbeat.channel"' not in line)
    assert [text for text in TEXTS if text in told_by_us] == []
    checked = nextbeat("verify", "--data", data, "--json")
    assert checked.returncode == 0, checked.stdout
    assert json.loads(checked.stdout)["erased"] == told["entries"] > 5
    with serving(shop, data) as server:
        assert server.ask("GET", "/v1/customers/other-1")[0] == 200
        server.track(TEXTS[0], "Seen", timestamp=DAY)
    assert find_left(data) == []
    keep("erasure", {"texts looked for": len(TEXTS), "found after the erasure": 0})


@pytest.mark.parametrize("number", range(6))
def test_an_erasure_that_was_answered_is_finished_after_a_kill(
    shop: Path, tmp_path: Path, number: int
) -> None:
    data = tmp_path / "data"
    user = TEXTS[0]
    with serving(shop, data) as server:
        fill(server)
        item = {"type": "track", "userId": user, "event": "Seen", "properties": {"note": TEXTS[5]}}
        for _ in range(10):
            server.ask("POST", "/v1/batch", {"batch": [item] * 100})
        status, told = server.ask("DELETE", f"/v1/customers/{quote(user)}?wait=0")
        assert status in (200, 202)
        for _ in range(4 * number):  # some way into it
            server.ask("GET", f"/v1/erasures/{told['number']}")
        server.end(signal.SIGKILL)
    checked = nextbeat("verify", "--data", data)
    assert checked.returncode == 0, checked.stdout
    with serving(shop, data) as server:
        while server.ask("GET", f"/v1/erasures/{told['number']}")[1]["state"] != "done":
            pass
        assert find_left(data) == []
    assert find_left(data) == []
    assert nextbeat("verify", "--data", data).returncode == 0


def test_a_stopped_folder_is_erased_in_by_the_command(shop: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(shop, data) as server:
        fill(server)
        wait_until_sent(server)
    asked = nextbeat("erase", TEXTS[1], "--data", data)
    assert asked.returncode == 1  # nobody said yes
    assert find_left(data)
    done = nextbeat("erase", TEXTS[1], "--data", data, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "done"
    assert find_left(data) == []
    assert nextbeat("verify", "--data", data).returncode == 0


def test_the_command_asks_a_running_server(shop: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(shop, data) as server:
        fill(server)
        done = nextbeat("erase", TEXTS[0], "--url", server.url, "--yes")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("erased, with ")
        assert find_left(data) == []
        again = nextbeat("erase", TEXTS[0], "--url", server.url, "--yes")
        assert again.stdout.startswith("nothing was stored of this customer")
