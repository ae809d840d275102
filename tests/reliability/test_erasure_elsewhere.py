"""Who was taken for another customer is erased: a scan of the data folder finds nothing of them."""

import json
import signal
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from adapters.sqlite.schema import FILE_NAME
from tests.e2e.command_line import nextbeat, write_shop
from tests.reliability.served import Served, serving, wait_until_sent
from tests.reliability.traces import find_traces

SHOP = """
workspace: shop
defaults: {timezone: Africa/Johannesburg, country: ZA}
consent: {marketing: opt_out}
identity: {rules: [{same: email}]}
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
TEXTS = (
    "ursula-8841", "a-ursula-dev77", "ursula.q@mail.test", "Ursulinchen", "xq-first-note",
    "xq-note-as-one", "xq-late-note",
)  # fmt: skip
USER, DEVICE, MAIL, NAME, FIRST, AS_ONE, LATE = TEXTS


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_shop(tmp_path, SHOP)


def meet(server: Served) -> None:
    """Have somebody taken for Walter for a while, with all that comes of it, and parted again."""
    server.ask("POST", "/v1/identify", {"userId": "walter", "traits": {"email": "w@mail.test"}})
    server.track("walter", "Signed Up", properties={"note": "nothing"})
    server.track("walter", "Asked", properties={"note": "nothing"})
    server.track(None, "Seen", anonymousId=DEVICE)
    traits = {"email": MAIL, "first_name": NAME}
    server.ask("POST", "/v1/identify", {"userId": USER, "anonymousId": DEVICE, "traits": traits})
    server.track(USER, "Signed Up", properties={"note": FIRST})
    server.track(USER, "Asked", properties={"note": FIRST})
    server.ask("POST", f"/v1/customers/walter/merge/{USER}")
    server.track(USER, "Signed Up", properties={"note": AS_ONE})
    server.track("walter", "Signed Up", properties={"note": "nothing"})
    server.track(None, "Seen", anonymousId=DEVICE, properties={"note": AS_ONE})
    server.ask("POST", f"/v1/customers/walter/unmerge/{USER}")
    server.track(USER, "Signed Up", properties={"note": LATE})
    server.track("walter", "Seen")


def name(server: Served) -> None:
    """Have others' journals name her: a device and an address that are hers by now, an alias."""
    for user, address in (("second", MAIL), ("third", "third@mail.test")):
        server.ask("POST", "/v1/identify", {"userId": user, "traits": {"email": address}})
    server.ask("POST", "/v1/alias", {"userId": "third", "previousId": USER})
    server.ask("POST", f"/v1/customers/third/unmerge/{USER}")
    server.track("fourth", "Seen", anonymousId="a-hall")
    server.track(USER, "Seen", anonymousId="a-hall")


def state(server: Served, user: str) -> dict[str, Any]:
    """Give all of a customer but what has her name: whom they are not, an id of an alias."""
    profile = server.ask("GET", f"/v1/customers/{user}")[1]
    own = [one for one in profile["identities"] if one["value"] != USER]
    return {**profile, "identities": own, "apart": []}


def erase(server: Served) -> dict[str, Any]:
    status, told = server.ask("DELETE", f"/v1/customers/{quote(USER)}?wait=60")
    assert (status, told["state"]) == (200, "done")
    return told


def verify(data: Path) -> dict[str, Any]:
    checked = nextbeat("verify", "--data", data, "--json")
    assert checked.returncode == 0, checked.stdout
    found: dict[str, Any] = json.loads(checked.stdout)
    return found


def test_nothing_is_found_of_who_was_taken_for_somebody_else(shop: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(shop, data) as server:
        meet(server)
        wait_until_sent(server)
        before = state(server, "walter")
        found = find_traces(data, TEXTS)
        assert {one.split(" at ")[0] for one in found} == set(TEXTS)
        told = erase(server)
        assert find_traces(data, TEXTS) == []
        assert state(server, "walter") == before
        kinds = [one["kind"] for one in _timeline(server, "walter")]
        assert kinds[0] == "abridged"
        assert kinds[-2:] == ["event", "linked"]  # of before they met
        beside = nextbeat("verify", "--data", data)
        assert beside.returncode == 0, beside.stdout + beside.stderr
    assert find_traces(data, TEXTS) == []
    checked = verify(data)
    assert checked["erased"] == told["entries"]
    assert checked["not_decided_again"] > 0  # what is left of before is not whole
    with serving(shop, data) as server:
        assert state(server, "walter") == before
        server.track("walter", "Signed Up", properties={"note": "once more"})
        wait_until_sent(server)
    assert verify(data)["decided_again"] > checked["decided_again"]


def test_nothing_is_found_in_what_others_were_told(shop: Path, tmp_path: Path) -> None:
    data, hers = tmp_path / "data", (USER, DEVICE, NAME, FIRST, AS_ONE, LATE)
    others = ("walter", "second", "third", "fourth")
    with serving(shop, data) as server:
        meet(server)
        name(server)
        wait_until_sent(server)
        before = [state(server, user) for user in others]
        erase(server)
        assert find_traces(data, hers) == []
        assert [state(server, user) for user in others] == before
    verify(data)
    with serving(shop, data) as server:
        assert [state(server, user) for user in others] == before
    assert find_traces(data, hers) == []
    for user in others:
        with serving(shop, data) as server:
            status, told = server.ask("DELETE", f"/v1/customers/{user}?wait=60")
            assert (status, told["state"]) == (200, "done")
        verify(data)
        assert find_traces(data, [user]) == []


def test_a_damaged_snapshot_is_made_again_of_what_is_left(shop: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(shop, data) as server:
        meet(server)
        wait_until_sent(server)
        erase(server)
        server.track("walter", "Signed Up", properties={"note": "once more"})
        wait_until_sent(server)
        before = state(server, "walter")
    with sqlite3.connect(data / FILE_NAME) as connection:
        connection.execute("UPDATE customers SET body = x'00' WHERE customer = 'walter'")
    connection.close()
    with serving(shop, data) as server:
        assert state(server, "walter") == before
        server.track("walter", "Seen")
    verify(data)


@pytest.mark.parametrize("number", range(6))
def test_an_erasure_is_finished_after_a_kill(shop: Path, tmp_path: Path, number: int) -> None:
    data = tmp_path / "data"
    with serving(shop, data) as server:
        meet(server)
        wait_until_sent(server)
        before = state(server, "walter")
        _, told = server.ask("DELETE", f"/v1/customers/{USER}?wait=0")
        for _ in range(2 * number):  # some way into it
            server.ask("GET", f"/v1/erasures/{told['number']}")
        server.end(signal.SIGKILL)
    verify(data)
    with serving(shop, data) as server:
        while server.ask("GET", f"/v1/erasures/{told['number']}")[1]["state"] != "done":
            pass
        assert find_traces(data, TEXTS) == []
        assert state(server, "walter") == before
    verify(data)


def test_a_stopped_folder_is_erased_in_by_the_command(shop: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(shop, data) as server:
        meet(server)
        wait_until_sent(server)
        before = state(server, "walter")
    done = nextbeat("erase", USER, "--data", data, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert find_traces(data, TEXTS) == []
    verify(data)
    again = nextbeat("erase", USER, "--data", data, "--yes", "--json")
    assert json.loads(again.stdout)["entries"] == 0
    with serving(shop, data) as server:
        assert state(server, "walter") == before


def _timeline(server: Served, user: str) -> list[dict[str, Any]]:
    _, page = server.ask("GET", f"/v1/customers/{user}/timeline")
    entries: list[dict[str, Any]] = page["entries"]
    return entries
