"""The desk as a till meets it: who is there, what to say, what came of it, and what follows."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from adapters.app import App, open_workspace
from adapters.gateway.settings import GatewaySettings
from engine.profile import Profile

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {
    "NEXTBEAT_SECRET": "a secret of many characters",
    "NEXTBEAT_WRITE_KEYS": "writer",
    "NEXTBEAT_ADMIN_KEYS": "ops:admin:the admin,eyes:read:reader,half:masked:masked",
    "NEXTBEAT_DESK_KEYS": "till-1, till-2",
}


class Till:
    def __init__(self, app: App, session: ClientSession) -> None:
        self.app = app
        self._session = session

    async def ask(
        self, path: str = "u1", body: object = None, key: str = "till-1"
    ) -> tuple[int, dict[str, Any]]:
        method = "GET" if body is None else "POST"
        headers = {"Authorization": f"Bearer {key}"}
        async with self._session.request(
            method, f"/v1/desk/{path}", json=body, headers=headers
        ) as answer:
            return answer.status, dict(await answer.json())

    async def see(self, customer: str = "u1") -> dict[str, Any]:
        status, view = await self.ask(customer)
        assert status == 200, view
        return view

    async def say(self, message_id: str, outcome: str) -> int:
        return (await self.ask("u1/outcome", {"message_id": message_id, "outcome": outcome}))[0]

    async def offer(self) -> dict[str, Any]:
        """Bring a customer in to whom something is to be said."""
        traits = {"first_name": "Zoë", "last_name": "Ng", "email": "zoe@example.com"}
        await self._send({"type": "identify", "userId": "u1", "traits": traits})
        event = {"event": "Balance Noticed", "properties": {"balance": 2400}}
        await self._send({"type": "track", "userId": "u1", **event})
        async with asyncio.timeout(10):
            while not (view := await self.see())["actions"]:
                pass
        return view

    async def find(self) -> Profile:
        profile = await self.app.runtime.seek("u1")
        assert profile is not None
        return profile

    async def _send(self, item: dict[str, Any]) -> None:
        body = {"batch": [item], "writeKey": "writer"}
        async with self._session.post("/v1/batch", json=body) as answer:
            assert answer.status == 200


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    workspace = open_workspace(ROOT / "docs" / "snippets" / "desk")
    settings = GatewaySettings.from_environment(ENVIRON)
    async with (
        App(workspace, tmp_path / "data", settings, environ=ENVIRON) as app,
        ClientSession(f"http://127.0.0.1:{app.port}") as session,
    ):
        yield Till(app, session)


async def test_a_till_is_told_who_is_there_what_to_say_and_why(till: Till) -> None:
    view = await till.offer()
    assert view["traits"] == {"first_name": "Zoë", "last_name": "Ng"}
    assert "on the way in idle_money" in view["summary"]
    [action] = view["actions"]
    assert action["content"]["title"] == "Offer the savings account"
    assert action["content"]["body"].startswith("Zoë keeps 2400")
    assert (action["journey"], action["message"]) == ("idle_money", "savings_account")
    decision = await till.app.store.decision(action["decision_id"])
    assert decision is not None
    assert action["expires_at"] > action["at"]
    judged = {one["message"]: one for one in view["messages"]}
    assert set(judged) == {"savings_account", "thank_you"}
    for one in judged.values():
        for channel in one["channels"]:
            assert channel["is_open"] == (not channel["reasons"])
    assert judged["thank_you"]["channels"][0]["channel"] == "till"
    assert judged["thank_you"]["channels"][0]["reasons"] == ["no_content"]


async def test_what_came_of_it_is_a_receipt_and_the_journey_goes_on(till: Till) -> None:
    [action] = (await till.offer())["actions"]
    message_id = action["message_id"]
    assert await till.say(message_id, "shown") == 200
    assert await till.say(message_id, "later") == 200
    [action] = (await till.see())["actions"]
    assert action["seen_at"]
    for _ in range(2):
        assert await till.say(message_id, "accepted") == 200
    assert (await till.see())["actions"] == []
    profile = await till.find()
    assert profile.traits["has_savings"] is True
    assert profile.history["Desk Offer Accepted"].count == 1
    assert set(profile.sends[message_id].statuses) >= {"accepted", "opened", "clicked"}


async def test_a_refused_offer_is_put_away_and_known(till: Till) -> None:
    [action] = (await till.offer())["actions"]
    assert await till.say(action["message_id"], "declined") == 200
    assert (await till.see())["actions"] == []
    profile = await till.find()
    assert profile.history["Desk Offer Declined"].count == 1
    assert "has_savings" not in profile.traits


async def test_only_tills_and_administrators_come_in(till: Till) -> None:
    [action] = (await till.offer())["actions"]
    told = {"message_id": action["message_id"], "outcome": "later"}
    for key, look, act in (
        ("till-2", 200, 200),
        ("the admin", 200, 200),
        ("reader", 200, 403),
        ("masked", 200, 403),
        ("writer", 401, 401),
        ("till-3", 401, 401),
        ("", 401, 401),
    ):
        assert (await till.ask(key=key))[0] == look, key
        assert (await till.ask("u1/outcome", told, key))[0] == act, key
    masked = (await till.ask(key="masked"))[1]
    text = str(masked)
    assert "Zoë" not in text
    assert "Ng" not in text
    assert "2400" not in text


async def test_what_can_not_be_is_refused(till: Till) -> None:
    [action] = (await till.offer())["actions"]
    good = {"message_id": action["message_id"], "outcome": "shown"}
    for path, body, status in (
        ("u9", None, 404),
        ("u1?x=1", None, 400),
        ("u1/outcome", {}, 400),
        ("u1/outcome", [good], 400),
        ("u1/outcome", {**good, "outcome": "eaten"}, 400),
        ("u1/outcome", {**good, "more": 1}, 400),
        ("u1/outcome", {**good, "message_id": "m_9"}, 404),
        ("u1/outcome", {**good, "message_id": "x" * 5_000}, 400),
        ("u9/outcome", good, 404),
    ):
        assert (await till.ask(path, body))[0] == status, (path, body)
    assert (await till.see())["actions"][0]["seen_at"] is None


async def test_what_is_for_the_till_is_not_in_the_customers_inbox(till: Till) -> None:
    [action] = (await till.offer())["actions"]
    key = {"Authorization": "Bearer the admin"}
    async with ClientSession(f"http://127.0.0.1:{till.app.port}", headers=key) as session:
        async with session.get("/v1/inbox/u1") as answer:
            assert await answer.json() == {"messages": [], "next": 0, "unseen": {}}
        place = f"/v1/inbox/u1/{action['message_id']}/opened"
        async with session.post(place) as answer:
            assert answer.status == 404
