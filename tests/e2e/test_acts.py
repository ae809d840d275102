"""The audit log: what was done by people with the right to do so is there, with the key's name."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.memory import MemoryStore
from actors.rows import ActQuery, ActRow, Commit, OutboxRow, QuarantineRow
from actors.runtime import Runtime
from adapters.app import App, open_workspace
from adapters.gateway.grants import read_grants
from adapters.gateway.operations import OPERATIONS
from adapters.gateway.settings import GatewaySettings, hash_keys
from adapters.sqlite.store import SqliteStore
from engine.errors import StoreError
from tests.e2e.command_line import SHOP, nextbeat, write_shop
from tests.e2e.gateway_host import NOW, Served, call
from tests.e2e.test_catalogue import shop
from tests.e2e.test_ingest_runtime import whole

Shard = tuple[Served, Runtime, MemoryStore]
KEYS = "nameless, ops:admin:a-1, desk:read:r-1"
OPS = {"Authorization": "Bearer a-1"}
DESK = {"Authorization": "Bearer r-1"}


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    store = MemoryStore()
    grants = read_grants(KEYS)
    settings = GatewaySettings(admin_keys=frozenset(grants), grants=grants)
    async with whole(store, settings) as (served, runtime):
        item = b'{"type":"track","event":"Clicked","userId":"u1"}'
        kept = [QuarantineRow(0, NOW, "segment", "unknown_type", "type", "…", item)] * 3
        await store.commit(Commit(quarantined=kept))
        yield served, runtime, store


async def test_an_act_bears_the_name_of_the_key(shard: Shard) -> None:
    served, _, store = shard
    for number, key in enumerate(("a-1", "nameless"), 1):
        headers = {"Authorization": f"Bearer {key}"}
        path = f"/v1/quarantine/{number}/replay"
        (await served.send(path, b"", headers=headers)).accepted()
    latest, first = await store.acts(ActQuery())
    assert (first.who, first.act, first.subject) == ("ops", "released_quarantine", "1")
    assert latest.who.startswith("key ")
    assert "nameless" not in latest.who
    answer = await served.send("/v1/acts?who=ops", method="GET", headers=OPS)
    assert answer.said["acts"] == [
        {
            "number": 1,
            "at": "2026-11-22T16:00:00Z",
            "who": "ops",
            "act": "released_quarantine",
            "subject": "1",
            "detail": "unknown_type",
        }
    ]
    assert answer.said["next"] is None


async def test_a_key_that_may_only_look_changes_nothing(shard: Shard) -> None:
    served, _, store = shard
    answer = await served.send("/v1/quarantine/1/replay", b"", headers=DESK)
    answer.refused(403, "forbidden")
    assert await store.acts(ActQuery()) == []
    assert len(await store.quarantine(None, 10)) == 3
    assert (await served.send("/v1/acts", method="GET", headers=DESK)).status == 200
    (await served.send("/v1/acts", method="GET")).refused(401, "unauthorized")


async def test_acts_come_in_pages(shard: Shard) -> None:
    served, runtime, _ = shard
    for number in range(5):
        await runtime.note_act("ops", "exported", f"u{number}")
    seen: list[str] = []
    cursor = ""
    while True:
        path = f"/v1/acts?limit=2{cursor}"
        page = (await served.send(path, method="GET", headers=OPS)).said
        seen += [one["subject"] for one in page["acts"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ["u4", "u3", "u2", "u1", "u0"]


async def test_an_act_that_can_not_be_written_down_is_told(shard: Shard) -> None:
    _, runtime, store = shard
    store.fail_next()
    with pytest.raises(StoreError):
        await runtime.note_act("ops", "exported", "u1")
    assert await store.acts(ActQuery()) == []


async def test_a_start_with_another_workspace_is_an_act_and_a_start_with_the_same_is_none(
    tmp_path: Path,
) -> None:
    shop, data = write_shop(tmp_path), tmp_path / "data"
    versions: list[str] = []
    for text in (SHOP, SHOP, SHOP.replace("48h", "24h")):
        (shop / "workspace.yaml").write_text(text, encoding="utf-8")
        workspace = open_workspace(shop)
        versions.append(workspace.program.version)
        async with App(workspace, data, GatewaySettings(), environ={}):
            pass
    done = nextbeat("acts", "--data", data, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = [(one["who"], one["act"], one["subject"]) for one in json.loads(done.stdout)]
    assert told == [
        ("command line", "changed_workspace", versions[2]),
        ("command line", "changed_workspace", versions[0]),
    ]


async def test_the_list_reads_as_a_table_and_can_be_narrowed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data")
    await store.open()
    acts = [ActRow(0, NOW, "ops", "exported", "u1", ""), ActRow(0, NOW, "ops", "erased", "h", "")]
    await store.commit(Commit(acts=acts))
    await store.close()
    shown = nextbeat("acts", "--data", tmp_path / "data", "--subject", "u1").stdout
    assert shown.splitlines()[0].split() == ["number", "at", "who", "act", "subject", "detail"]
    assert shown.splitlines()[1].split()[-2:] == ["exported", "u1"]
    assert len(shown.splitlines()) == 2
    nothing = nextbeat("acts", "--data", tmp_path / "data", "--until", "2020-01-01T00:00:00Z")
    assert nothing.stdout == "no administrative act fits\n"


# Every call of an administrator that changes something: its address, its body, and what it is.
CHANGES: dict[tuple[str, str], tuple[str, bytes, tuple[str, str, str]]] = {
    ("post", "/v1/catalogue/{kind}"): (
        "/v1/catalogue/products",
        b'[{"id":"p1","name":"Mug"},{"id":"p2","name":"Jug"}]',
        ("put_catalogue", "products", "2 stored, 0 removed"),
    ),
    ("put", "/v1/catalogue/{kind}"): (
        "/v1/catalogue/products",
        b'[{"id":"p3","name":"Bowl"},{"id":"p4","name":"Cup"}]',
        ("put_catalogue", "products", "2 stored, 2 removed"),
    ),
    ("put", "/v1/catalogue/{kind}/{id}"): (
        "/v1/catalogue/products/p5",
        b'{"name":"Pan"}',
        ("put_catalogue", "products", "1 stored, 0 removed"),
    ),
    ("delete", "/v1/catalogue/{kind}/{id}"): (
        "/v1/catalogue/products/p5",
        b"",
        ("removed_catalogue", "products", "1 removed"),
    ),
    ("delete", "/v1/catalogue/{kind}"): (
        "/v1/catalogue/products",
        b"",
        ("removed_catalogue", "products", "2 removed"),
    ),
    ("post", "/v1/quarantine/{number}/replay"): (
        "/v1/quarantine/1/replay",
        b"",
        ("released_quarantine", "1", "unknown_type"),
    ),
    ("post", "/v1/outbox/{id}/redeliver"): (
        "/v1/outbox/m_1/redeliver",
        b"",
        ("redelivered", "m_1", "sms"),
    ),
    ("post", "/v1/customers/{id}/merge/{other}"): (
        "/v1/customers/u1/merge/u2",
        b"",
        ("merged", "u1", "u2"),
    ),
    ("post", "/v1/customers/{id}/unmerge/{other}"): (
        "/v1/customers/u1/unmerge/u2",
        b"",
        ("unmerged", "u1", "u2"),
    ),
    ("delete", "/v1/customers/{id}"): ("/v1/customers/u2", b"", ("erased", "", "")),
}


QUESTIONS = [("post", "/v1/plan")]  # asked by a body: they change nothing


async def test_whatever_an_administrator_changes_is_an_act() -> None:
    changing = [
        (one.method, one.path)
        for one in OPERATIONS
        if one.door == "admin" and one.method not in ("get", "head")
    ]
    changing = [one for one in changing if one not in QUESTIONS]
    assert set(CHANGES) == set(changing)
    store = MemoryStore()
    async with shop(store) as served:
        for user in ("u1", "u2"):
            (await served.send("/v1/track", call(userId=user))).accepted()
        item = b'{"type":"track","event":"Clicked","userId":"u1"}'
        kept = QuarantineRow(0, NOW, "segment", "unknown_type", "type", "…", item)
        dead = OutboxRow("m_1", "u1", "sms", "failed", 1, b"")
        await store.commit(Commit(quarantined=[kept], outbox=[dead]))
        for (method, _), (path, body, told) in CHANGES.items():
            before = len(await store.acts(ActQuery()))
            answer = await served.send(path, body, method=method.upper())
            assert answer.status in (200, 202), (path, answer.body)
            acts = await store.acts(ActQuery())
            assert len(acts) == before + 1, path
            wanted = (told[0], acts[0].subject if told[0] == "erased" else told[1], told[2])
            assert (acts[0].act, acts[0].subject, acts[0].detail) == wanted
            assert "u2" not in acts[0].subject  # of who is erased only a pseudonym is kept


async def test_what_changed_nothing_is_no_act_and_a_part_of_a_load_is_one() -> None:
    store = MemoryStore()
    async with shop(store) as served:
        path, lines = "/v1/catalogue/products", b'[{"id":"p1","name":"Mug"}]'
        for _ in range(2):
            assert (await served.send(path, lines)).status == 200
        assert (await served.send(f"{path}/nothing", b"", method="DELETE")).status == 404
        acts = await store.acts(ActQuery())
        assert [one.detail for one in acts] == ["1 stored, 0 removed"]
        store.fail_next()
        lines = b'[{"id":"p1","name":"Jug"}]'
        (await served.send(path, lines)).refused(503, "not_stored")
        assert await store.acts(ActQuery()) == acts


async def test_wishes_put_by_an_administrator_are_an_act_and_those_an_app_puts_are_none() -> None:
    grants = read_grants("ops:admin:a-1")
    settings = GatewaySettings(
        write_keys=hash_keys("app,a-1"), admin_keys=frozenset(grants), grants=grants
    )
    store = MemoryStore()
    async with whole(store, settings) as (served, _):
        for key in ("app", "a-1"):
            answer = await served.send(
                "/v1/customers/u1/preferences",
                b'{"do_not_disturb":true}',
                method="PUT",
                headers={"Authorization": f"Bearer {key}"},
            )
            answer.accepted()
        [act] = await store.acts(ActQuery())
        assert (act.who, act.act, act.subject) == ("ops", "put_preferences", "u1")
        store.fail_next()
        answer = await served.send(
            "/v1/customers/u1/preferences", b'{"do_not_disturb":false}', method="PUT", headers=OPS
        )
        answer.refused(503, "not_stored")


def test_an_erasure_in_a_folder_is_an_act(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    done = nextbeat("erase", "ursula", "--data", data, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    [act] = json.loads(nextbeat("acts", "--data", data, "--json").stdout)
    assert (act["who"], act["act"]) == ("command line", "erased")
    assert "ursula" not in str(act)
