"""Segments as a team meets them: over HTTP and on the command line, over a change of workspace."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command_line import nextbeat, write_shop
from tests.e2e.test_cli_serve import serving

SHOP = """
workspace: shop
defaults: {timezone: Africa/Johannesburg, country: ZA}
consent: {marketing: opt_out}
channels:
  email: {adapter: log, identity: email}
message_types:
  promotional: {purpose: marketing, channels: [email]}
messages:
  hello_vip: {type: promotional, content: {email: {subject: Hi, body: Welcome}}}
segments:
  vip: profile.plan == "gold"
  viewer: count("Product Viewed", "30d") >= 2
journeys:
  greet:
    trigger: {segment: vip}
    steps: [{send: hello_vip}]
"""
NAMES = [f"u{number}" for number in range(7)]


def post(url: str, items: list[dict[str, Any]]) -> None:
    request = urllib.request.Request(
        f"{url}/v1/batch", json.dumps({"batch": items, "writeKey": "k"}).encode()
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer) == {"success": True}


def get(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}{path}", timeout=30) as answer:
        return json.load(answer)


def calls() -> Iterator[dict[str, Any]]:
    for number, name in enumerate(NAMES):
        traits = {"plan": "gold" if number % 2 else "free", "email": f"{name}@example.com"}
        yield {"type": "identify", "userId": name, "messageId": f"i{number}", "traits": traits}
        for view in range(number % 3):
            yield {
                "type": "track",
                "event": "Product Viewed",
                "userId": name,
                "messageId": f"t{number}-{view}",
            }


def by_name(listed: Any) -> dict[str, tuple[int, int, int]]:
    return {
        one["segment"]: (one["size"], one["entered_today"], one["left_today"])
        for one in listed["segments"]
    }


def test_segments_are_counted_listed_and_reviewed_when_the_workspace_changes(
    tmp_path: Path,
) -> None:
    shop, data = write_shop(tmp_path, SHOP), tmp_path / "data"
    with serving(shop, data) as url:
        post(url, list(calls()))
        listed = get(url, "/v1/segments")
        assert by_name(listed) == {"viewer": (2, 2, 0), "vip": (3, 3, 0)}
        assert listed["segments"][1]["condition"] == 'profile.plan == "gold"'
        page = get(url, "/v1/segments/vip/members?limit=2")
        assert [one["customer"] for one in page["members"]] == ["u1", "u3"]
        rest = get(url, f"/v1/segments/vip/members?limit=2&cursor={page['next']}")
        assert ([one["customer"] for one in rest["members"]], rest["next"]) == (["u5"], None)
        customer = get(url, "/v1/customers/u5")
        assert customer["segments"]["vip"] == rest["members"][0]["since"]
        assert len(get(url, "/v1/decisions")["decisions"]) == 3
        told = nextbeat("segments", "--url", url)
        assert [line.split()[:4] for line in told.stdout.splitlines()[1:3]] == [
            ["viewer", "2", "+2", "-0"],
            ["vip", "3", "+3", "-0"],
        ]
        one = nextbeat("segments", "vip", "--limit", "2", "--json", "--url", url)
        assert [member["customer"] for member in json.loads(one.stdout)] == ["u1", "u3"]
        unknown = nextbeat("segments", "vipp", "--url", url)
        assert unknown.returncode == 1
        assert "did you mean 'vip'?" in unknown.stderr
        assert "segments: viewer, vip" in nextbeat("segments", "nosuch", "--url", url).stderr
    (shop / "workspace.yaml").write_text(SHOP.replace('"gold"', '"free"'), encoding="utf-8")
    with serving(shop, data) as url:
        listed = get(url, "/v1/segments")
        while not listed["review"]["done"]:
            listed = get(url, "/v1/segments")
        assert by_name(listed) == {"viewer": (2, 2, 0), "vip": (4, 7, 3)}
        assert (listed["review"]["looked_at"], listed["review"]["changed"]) == (7, 7)
        assert len(get(url, "/v1/decisions")["decisions"]) == 3  # a definition starts nothing
        kinds = [
            one["kind"] for one in get(url, "/v1/customers/u5/timeline?kind=review")["entries"]
        ]
        assert kinds == ["review"]
    told = nextbeat("segments", "vip", "--data", data)
    assert [line.split()[0] for line in told.stdout.splitlines()[1:]] == ["u0", "u2", "u4", "u6"]
    assert "did you mean 'viewer'?" in nextbeat("segments", "viewers", "--data", data).stderr
    checked = nextbeat("verify", "--data", data)
    assert checked.returncode == 0, checked.stdout
    assert "6 members of segments" in checked.stdout


@pytest.mark.parametrize(
    ("path", "status", "where"),
    [
        ("/v1/segments/vipp/members", 404, "path"),
        ("/v1/segments/vip/members?cursor=xx", 400, "query.cursor"),
        ("/v1/segments/vip/members?limit=0", 400, "query.limit"),
        ("/v1/segments?limit=3", 400, "query"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_its_place(
    path: str, status: int, where: str, shop_url: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(shop_url, path)
    assert refused.value.code == status
    assert json.load(refused.value)["path"] == where


@pytest.fixture(scope="module")
def shop_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    with serving(write_shop(folder, SHOP), folder / "data") as url:
        yield url
