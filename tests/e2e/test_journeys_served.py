"""Who is where in journeys, as a team meets it: over HTTP, on the command line, before a change."""

import json
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command_line import nextbeat, write_shop
from tests.e2e.test_cli_serve import serving
from tests.e2e.test_segments_served import get, post

SHOP = """
workspace: shop
defaults: {timezone: Africa/Johannesburg, country: ZA}
consent: {marketing: opt_out}
channels:
  email: {adapter: log, identity: email}
message_types:
  promotional: {purpose: marketing, channels: [email]}
messages:
  reminder: {type: promotional, content: {email: {subject: Hi, body: Your cart}}}
  offer: {type: promotional, content: {email: {subject: Hi, body: An offer}}}
journeys:
  cart:
    trigger: {event: Product Added, if: "event.price > 50"}
    steps:
      - {wait: 2h, id: pause}
      - {send: reminder, id: first}
      - wait_for: {event: Order Completed, up_to: 1d}
        id: bought
        then: [{exit: bought}]
        else: [{send: offer, id: last}]
  done:
    trigger: {event: Order Completed}
    steps: [{send: offer}]
"""
NEWER = SHOP.replace("else: [{send: offer, id: last}]", "else: [{send: reminder}]").replace(
    "{wait: 2h, id: pause}", "{wait: 3h, id: pause}"
)


def added(name: str) -> dict[str, Any]:
    properties = {"price": 80}
    call = {"type": "track", "event": "Product Added", "userId": name, "messageId": f"a-{name}"}
    return {**call, "properties": properties}


def send_plan(url: str, source: object) -> Any:
    body = json.dumps(source).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/plan", body), timeout=30) as told:
        return json.load(told)


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()[1:] if line]


def test_people_are_counted_drawn_and_found_and_a_change_is_told_before_it_is_made(
    tmp_path: Path,
) -> None:
    shop, data = write_shop(tmp_path, SHOP), tmp_path / "data"
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "workspace.yaml").write_text(NEWER, encoding="utf-8")
    with serving(shop, data) as url:
        post(url, [added("u1"), added("u2")])
        listed = get(url, "/v1/journeys")["journeys"]
        assert [(one["journey"], one["people"], one["older"]) for one in listed] == [
            ("cart", 2, 0),
            ("done", 0, 0),
        ]
        assert listed[0]["begins_with"] == "Product Added if event.price > 50"
        graph = get(url, "/v1/journeys/cart")
        assert {node["id"]: node["people"] for node in graph["nodes"] if node["people"]} == {
            "pause": 2
        }
        assert '"wait 2h (2)"' in graph["mermaid"]
        told = nextbeat("journeys", "--url", url)
        assert table(told.stdout)[0][:3] == ["cart", "2", "0"]
        where = nextbeat("journeys", "u1", "--url", url).stdout
        assert where.startswith("cart, at pause\n")
        assert "waits for the time to come since " in where
        picture = nextbeat("graph", "cart", "--svg", "--url", url)
        texts = [one.text for one in ET.fromstring(picture.stdout).iter() if one.text]
        assert "pause · 2 here" in texts
        planned = nextbeat("plan", newer, "--url", url)
        assert planned.returncode == 0, planned.stderr
        row = table(planned.stdout)[0]
        assert (row[0], row[2], row[3]) == ("cart", "pause", "2")
        assert "stay in their version; not sent any more: last" in planned.stdout
        with pytest.raises(urllib.error.HTTPError) as caught:
            send_plan(url, {"workspace": "x", "journeys": {"j": {"steps": []}}})
        assert caught.value.code == 400
        assert json.load(caught.value)["code"] == "bad_workspace"
        with pytest.raises(urllib.error.HTTPError) as unknown:
            get(url, "/v1/journeys/crat")
        assert "did you mean 'cart'" in json.load(unknown.value)["message"]
        assert [one["journey"] for one in get(url, "/v1/journeys")["journeys"]] == ["cart", "done"]
    assert nextbeat("plan", newer, "--data", data).stdout == planned.stdout
    assert "2" in table(nextbeat("journeys", "--data", data).stdout)[0]
    assert nextbeat("journeys", "u1", "--data", data).stdout == where
    with serving(newer, data) as url:
        graph = get(url, "/v1/journeys/cart")
        old = next(node for node in graph["nodes"] if node["id"] == "pause")
        assert (old["people"], len(old["versions"])) == (2, 1)
        assert get(url, "/v1/journeys")["journeys"][0]["older"] == 2
        assert "in an older version" in nextbeat("journeys", "u1", "--url", url).stdout
        post(url, [{"type": "track", "event": "Order Completed", "userId": "u1", "messageId": "o"}])
        assert "left done" in nextbeat("journeys", "u1", "--url", url).stdout


def test_a_workspace_alone_can_be_drawn(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, SHOP)
    text = nextbeat("graph", "cart", "--workspace", shop).stdout
    assert text.startswith("flowchart TD\n")
    assert '|"not within 1d"|' in text
    wrong = nextbeat("graph", "crat", "--workspace", shop)
    assert wrong.returncode == 1
    assert "did you mean 'cart'" in wrong.stderr
