"""Dead letters over HTTP and on the command line: seen, masked, and sent once more."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from actors.lanes import Pacing
from actors.memory import MemoryStore, VirtualClock
from actors.ports import Permanent
from actors.rows import ActQuery, Commit, OutboxChange
from actors.runtime import Runtime
from adapters.gateway.app import serve
from adapters.gateway.grants import read_grants
from adapters.gateway.settings import GatewaySettings
from adapters.sqlite.store import SqliteStore
from engine.effects import Send
from engine.program.compile import compile_source
from tests.e2e.command_line import nextbeat
from tests.e2e.gateway_host import NOW, Served, call
from tests.outgoing import a_row, a_send

KEYS = "ops:admin:a-1, desk:masked:m-1"
OPS = {"Authorization": "Bearer a-1"}
DESK = {"Authorization": "Bearer m-1"}
SHOP = {
    "workspace": "shop",
    "channels": {"sms": {"adapter": "twilio", "identity": "phone"}},
    "message_types": {"code": {"purpose": "service", "channels": ["sms"]}},
    "messages": {"login": {"type": "code", "content": {"sms": {"body": "1234"}}}},
    "journeys": {"in": {"trigger": {"event": "Log In"}, "steps": [{"send": "login"}]}},
}


class Refusing:
    """A provider that knows no number until it is mended."""

    def __init__(self) -> None:
        self.is_mended = False
        self.taken: list[str] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, send: Send) -> str:
        if not self.is_mended:
            raise Permanent("no such number +27 82 555 0199", code="21211")
        self.taken.append(send.message_id)
        return "SM1"


class Shop:
    """A whole shard whose provider refuses everything."""

    def __init__(self, served: Served, runtime: Runtime, provider: Refusing) -> None:
        self.served = served
        self.runtime = runtime
        self.provider = provider

    async def get(self, path: str, **headers: str) -> dict[str, Any]:
        answer = await self.served.send(path, method="GET", headers=headers or OPS)
        return dict(answer.said)

    async def track(self, user: str) -> None:
        told = call(userId=user, event="Log In", context={"traits": {"phone": "+27825550199"}})
        who = call(userId=user, type="identify", traits={"phone": "+27825550199"}, event=None)
        for path, body in (("/v1/identify", who), ("/v1/track", told)):
            (await self.served.send(path, body, headers=OPS)).accepted()
        await self.runtime.outbox.settle()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    grants = read_grants(KEYS)
    provider = Refusing()
    runtime = Runtime(
        MemoryStore(),
        VirtualClock(NOW),
        compile_source(SHOP),
        {"sms": provider},
        pacing={"sms": Pacing()},
        providers={"sms": "twilio"},
    )
    await runtime.open()
    await runtime.start()
    settings = GatewaySettings(admin_keys=frozenset(grants), grants=grants)
    gateway = await serve(runtime, settings)
    async with ClientSession(auto_decompress=False) as session:
        yield Shop(Served(gateway, session), runtime, provider)
    await gateway.stop()
    await runtime.stop()


async def test_a_dead_letter_says_what_it_was_why_it_ended_and_who_had_it(shop: Shop) -> None:
    for user in ("u1", "u2", "u3"):
        await shop.track(user)
    page = await shop.get("/v1/outbox?limit=2")
    letters = page["letters"]
    assert [one["customer"] for one in letters] == ["u3", "u2"]
    rest = await shop.get(f"/v1/outbox?before={page['next']}")
    (letter,) = rest["letters"]
    assert rest["next"] is None
    told = {name: letter[name] for name in ("customer", "state", "code", "provider", "message")}
    assert told == {
        "customer": "u1",
        "state": "failed",
        "code": "21211",
        "provider": "twilio",
        "message": "login",
    }
    assert (await shop.get("/v1/outbox?state=in_doubt"))["letters"] == []
    assert len((await shop.get("/v1/outbox?customer=u2&channel=sms"))["letters"]) == 1


async def test_who_may_not_see_addresses_sees_none_in_dead_letters(shop: Shop) -> None:
    await shop.track("u1")
    shown = json.dumps(await shop.get("/v1/outbox", **DESK))
    assert "5550199" not in shown.replace(" ", "")
    assert "[phone]" in shown
    refused = await shop.served.send("/v1/outbox/m/redeliver", b"", headers=DESK)
    refused.refused(403, "forbidden")


async def test_a_message_is_sent_once_more_under_a_new_id_and_somebody_answers_for_it(
    shop: Shop,
) -> None:
    await shop.track("u1")
    (letter,) = (await shop.get("/v1/outbox"))["letters"]
    shop.provider.is_mended = True
    path = f"/v1/outbox/{letter['message_id']}/redeliver"
    (await shop.served.send(path, b"", headers=OPS)).accepted()
    await shop.runtime.outbox.settle()
    (taken,) = shop.provider.taken
    assert taken != letter["message_id"]
    found = await shop.runtime.store.messages_by_provider("twilio", ["SM1"])
    assert found["SM1"].message_id == taken
    (act,) = await shop.runtime.store.acts(ActQuery())
    assert (act.who, act.act, act.subject) == ("ops", "redelivered", letter["message_id"])
    (await shop.served.send(f"/v1/outbox/{taken}/redeliver", b"", headers=OPS)).refused(
        409, "not_dead"
    )
    unknown = await shop.served.send("/v1/outbox/nothing/redeliver", b"", headers=OPS)
    unknown.refused(404, "not_found")


async def test_a_parameter_nobody_knows_is_refused(shop: Shop) -> None:
    for query in ("state=sent", "chanel=sms", "limit=0"):
        answer = await shop.served.send(f"/v1/outbox?{query}", method="GET", headers=OPS)
        assert answer.status == 400


async def test_dead_letters_of_a_folder_are_listed_on_the_command_line(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data")
    await store.open()
    sends = [a_send(f"m_{number}", f"u{number}") for number in range(3)]
    await store.commit(Commit(outbox=[a_row(send) for send in sends]))
    change = OutboxChange("m_1", "in_doubt", 1, "hung up", "maybe_taken", "smtp")
    await store.commit(Commit(outbox_changes=[change]))
    await store.close()
    shown = nextbeat("outbox", "--data", tmp_path / "data").stdout.splitlines()
    assert shown[0].split()[:4] == ["message", "decided", "customer", "channel"]
    assert "maybe_taken" in shown[1]
    assert len(shown) == 2
    (letter,) = msgspec.json.decode(
        nextbeat("outbox", "--data", tmp_path / "data", "--json").stdout
    )
    assert letter["address"] == "[address]"
    nothing = nextbeat("outbox", "--data", tmp_path / "data", "--state", "failed")
    assert nothing.stdout == "no dead letter fits\n"
