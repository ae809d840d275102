"""The catalogue over real HTTP, a real runtime and a real store: loaded, told to events, kept."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from actors.memory import MemoryStore, VirtualClock
from actors.ports import Store
from actors.rows import CatalogueRow, Commit
from actors.runtime import Runtime
from adapters.gateway.app import serve
from adapters.sqlite.schema import FILE_NAME
from adapters.sqlite.store import SqliteStore
from engine.events import Event, Input
from engine.limits import CATALOGUE_ITEM_BYTES_MAX
from engine.program.compile import compile_source
from tests.e2e.gateway_host import LOCKED, NOW, OPEN, Answer, Served, call

SHOP = {
    "workspace": "shop",
    "channels": {"email": {"adapter": "log", "identity": "email"}},
    "catalogue": {"brands": {"key": "brand_id", "as": "brand"}},
}
CSV = {"Content-Type": "text/csv"}
_decode = msgspec.msgpack.Decoder(Input).decode


@asynccontextmanager
async def shop(store: Store) -> AsyncGenerator[Served]:
    runtime = Runtime(store, VirtualClock(NOW), compile_source(SHOP), {})
    await runtime.open()
    await runtime.start()
    gateway = await serve(runtime, OPEN)
    async with ClientSession(auto_decompress=False) as session:
        yield Served(gateway, session)
    await gateway.stop()
    await runtime.stop()


@pytest.fixture
async def served() -> AsyncGenerator[Served]:
    async with shop(MemoryStore()) as served:
        yield served


async def items(served: Served, kind: str = "products") -> dict[str, dict[str, Any]]:
    """List all items of a kind, page by page."""
    found: dict[str, dict[str, Any]] = {}
    cursor = ""
    while True:
        path = f"/v1/catalogue/{kind}?limit=2{cursor and f'&cursor={cursor}'}"
        page = (await served.send(path, method="GET")).said
        assert len(page["items"]) <= 2
        found.update((one["id"], one["fields"]) for one in page["items"])
        cursor = page["next"]
        if cursor is None:
            return found


async def journaled(served: Served, customer: str = "u1") -> list[Event]:
    """Read what the journal has of a customer, oldest first."""
    entries = await served.runtime.timeline(customer, None, 100)
    events = [_decode(entry.input) for entry in reversed(entries)]
    return [one for one in events if isinstance(one, Event)]


def lines(*objects: dict[str, Any]) -> bytes:
    return b"\n".join(map(msgspec.json.encode, objects))


def report(answer: Answer) -> tuple[int, int, int, list[tuple[int, str]]]:
    assert answer.status == 200, answer.body
    said = answer.said
    assert said["success"] is True
    faults = [(one["line"], one["code"]) for one in said["errors"]]
    assert said["errors_total"] == len(faults)
    return said["stored"], said["unchanged"], said["removed"], faults


async def test_an_item_is_put_shown_replaced_and_removed(served: Served) -> None:
    path = "/v1/catalogue/products/a%2Fb"
    (await served.send(path, {"price": 5, "title": "Socks"}, method="PUT")).accepted()
    shown = await served.send(path, method="GET")
    assert shown.said == {"id": "a/b", "fields": {"price": 5, "title": "Socks"}}
    (await served.send(path, {"price": 6}, method="PUT")).accepted()
    assert await items(served) == {"a/b": {"price": 6}}
    (await served.send(path, method="DELETE")).accepted()
    (await served.send(path, method="GET")).refused(404, "not_found")
    (await served.send(path, method="DELETE")).refused(404, "not_found")


async def test_many_items_are_taken_and_bad_lines_are_named(served: Served) -> None:
    body = lines({"id": "a", "price": 1}, {"price": 2}, {"sku": "c", "price": "x"}, {"sku": "d"})
    answer = await served.send("/v1/catalogue/products", body)
    assert report(answer) == (2, 0, 0, [(2, "no_id"), (3, "bad_field")])
    assert await items(served) == {"a": {"price": 1}, "d": {"sku": "d"}}
    again = await served.send("/v1/catalogue/products", [{"id": "a", "price": 1}, {"id": "e"}])
    assert report(again) == (1, 1, 0, [])
    assert list(await items(served)) == ["a", "d", "e"]


async def test_a_kind_is_replaced_as_a_whole_by_csv(served: Served) -> None:
    await served.send("/v1/catalogue/products", [{"id": "a"}, {"id": "b"}, {"id": "c"}])
    await served.send("/v1/catalogue/stores", [{"id": "a"}])
    body = b"sku,price\nb,2\nd,4.5\n"
    answer = await served.send("/v1/catalogue/products", body, method="PUT", headers=CSV)
    assert report(answer) == (2, 0, 2, [])
    assert await items(served) == {"b": {"sku": "b", "price": 2}, "d": {"sku": "d", "price": 4.5}}
    assert list(await items(served, "stores")) == ["a"]


async def test_nothing_is_removed_where_a_line_was_bad(served: Served) -> None:
    await served.send("/v1/catalogue/products", [{"id": "a"}, {"id": "b"}])
    body = b"id,price\nb,two\nc,3\n"
    answer = await served.send("/v1/catalogue/products", body, method="PUT", headers=CSV)
    assert report(answer) == (1, 0, 0, [(2, "bad_field")])
    assert await items(served) == {"a": {}, "b": {}, "c": {"price": 3}}


@pytest.mark.parametrize("body", [b"", b"[]", b"\n\n"])
async def test_a_feed_of_nothing_removes_nothing(served: Served, body: bytes) -> None:
    await served.send("/v1/catalogue/products", [{"id": "a"}])
    answer = await served.send("/v1/catalogue/products", body, method="PUT")
    answer.refused(400, "no_items")
    assert list(await items(served)) == ["a"]


async def test_a_kind_is_emptied_when_it_is_asked_for(served: Served) -> None:
    await served.send("/v1/catalogue/products", [{"id": f"{n}"} for n in range(300)])
    kinds = (await served.send("/v1/catalogue", method="GET")).said["kinds"]
    assert kinds == {"products": 300, "stores": 0, "content": 0, "brands": 0}
    answer = await served.send("/v1/catalogue/products", method="DELETE")
    assert report(answer) == (0, 0, 300, [])
    assert await items(served) == {}


async def test_events_are_told_before_they_are_journaled(served: Served) -> None:
    await served.send("/v1/catalogue/products/p1", {"price": 89.5, "category": "x"}, method="PUT")
    await served.send("/v1/catalogue/brands/b1", {"name": "Fells"}, method="PUT")
    said = {"product_id": "p1", "price": 70, "brand_id": "b1"}
    (await served.send("/v1/track", call(messageId="m1", properties=said))).accepted()
    await served.send("/v1/catalogue/products/p1", {"price": 99}, method="PUT")
    (await served.send("/v1/track", call(messageId="m2", properties=said))).accepted()
    first, second = await journaled(served)
    assert first.properties == {
        **said,
        "category": "x",
        "product": {"id": "p1", "price": 89.5, "category": "x"},
        "brand": {"id": "b1", "name": "Fells"},
    }
    assert second.properties["product"] == {"id": "p1", "price": 99}
    assert "category" not in second.properties


async def test_an_event_sent_again_after_the_item_changed_is_a_duplicate(served: Served) -> None:
    await served.send("/v1/catalogue/products/p1", {"price": 1}, method="PUT")
    said = call(properties={"product_id": "p1"}, timestamp="2026-11-22T15:00:00Z")
    (await served.send("/v1/track", said)).accepted()
    await served.send("/v1/catalogue/products/p1", {"price": 2}, method="PUT")
    (await served.send("/v1/track", said)).accepted()
    assert [one.properties["price"] for one in await journaled(served)] == [1]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v1/catalogue/product", b"", 404, "not_found"),
        ("PUT", "/v1/catalogue/product/a", b"{}", 404, "not_found"),
        ("PUT", "/v1/catalogue/products/a", b"[]", 400, "invalid_type"),
        ("PUT", "/v1/catalogue/products/a", b"{", 400, "unreadable_json"),
        ("PUT", "/v1/catalogue/products/a", b'{"price": "x"}', 400, "bad_field"),
        ("PUT", "/v1/catalogue/products/" + "a" * 300, b"{}", 400, "bad_id"),
        ("GET", "/v1/catalogue/products?cursor=x", b"", 400, "bad_cursor"),
        ("GET", "/v1/catalogue/products?limits=2", b"", 400, "unknown_parameter"),
        ("POST", "/v1/catalogue/products", b"[{", 400, "unreadable_json"),
        ("PATCH", "/v1/catalogue/products", b"", 405, "method_not_allowed"),
    ],
)
async def test_what_can_not_be_understood_is_refused(
    served: Served, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    (await served.send(path, body, method=method)).refused(status, code)


async def test_a_kind_that_is_misspelt_is_told_so(served: Served) -> None:
    answer = await served.send("/v1/catalogue/prodcts", method="GET")
    assert "did you mean 'products'?" in answer.said["message"]


async def test_an_unknown_form_and_a_body_too_large_are_refused(served: Served) -> None:
    answer = await served.send(
        "/v1/catalogue/products", b"<x/>", headers={"Content-Type": "text/xml"}
    )
    answer.refused(400, "unsupported_type")
    large = {"text": "x" * 5 * CATALOGUE_ITEM_BYTES_MAX}
    answer = await served.send("/v1/catalogue/products/a", large, method="PUT")
    answer.refused(400, "too_large")


async def test_a_write_key_does_not_open_the_catalogue() -> None:
    runtime = Runtime(MemoryStore(), VirtualClock(NOW), compile_source(SHOP), {})
    gateway = await serve(runtime, LOCKED)
    async with ClientSession(auto_decompress=False) as session:
        served = Served(gateway, session)
        for method, path in (("GET", ""), ("PUT", "/products"), ("DELETE", "/products/a")):
            answer = await served.send(
                f"/v1/catalogue{path}", method=method, headers={"Authorization": "Bearer write-key"}
            )
            answer.refused(401, "unauthorized")
    await gateway.stop()


async def test_what_could_not_be_stored_is_not_told_to_events() -> None:
    store = MemoryStore()
    async with shop(store) as served:
        store.fail_next()
        answer = await served.send("/v1/catalogue/products/p1", {"price": 1}, method="PUT")
        answer.refused(503, "unavailable")
        (await served.send("/v1/track", call(properties={"product_id": "p1"}))).accepted()
        assert [one.properties for one in await journaled(served)] == [{"product_id": "p1"}]


async def test_a_load_that_broke_off_says_how_far_it_got_and_removes_nothing() -> None:
    class Filling(MemoryStore):
        def commit(self, commit: Commit) -> asyncio.Future[None]:
            if commit.catalogue and commit.catalogue[-1].id > "0400":
                self.fail_next()
            return super().commit(commit)

    store = Filling()
    async with shop(store) as served:
        await served.send("/v1/catalogue/products", [{"id": "!"}])
        body = lines(*({"id": f"{number:04}"} for number in range(600)))
        answer = await served.send("/v1/catalogue/products", body, method="PUT")
        answer.refused(503, "not_stored")
        assert "only 250 items" in answer.said["message"]
        assert answer.headers["Retry-After"]
        found = await store.catalogue(("", ""), 1_000)
        assert len(found) == 251
        assert (await served.send("/v1/catalogue", method="GET")).said["kinds"]["products"] == 251


async def test_items_outlive_a_restart(tmp_path: Path) -> None:
    async with shop(SqliteStore(tmp_path)) as served:
        body = [{"id": "a", "price": 1}, {"id": "b", "price": 2}]
        assert report(await served.send("/v1/catalogue/products", body)) == (2, 0, 0, [])
    async with shop(SqliteStore(tmp_path)) as served:
        (await served.send("/v1/track", call(properties={"product_id": "b"}))).accepted()
        assert [one.properties["price"] for one in await journaled(served)] == [2]
        assert await items(served) == {"a": {"price": 1}, "b": {"price": 2}}


@pytest.mark.parametrize(
    "change",
    ["id = CAST(x'ff61' AS TEXT)", "id = 7", "body = NULL", "body = x'81'", "checksum = ''"],
)
async def test_an_item_the_disk_has_damaged_is_left_out_and_the_others_are_there(
    tmp_path: Path, change: str
) -> None:
    async with shop(SqliteStore(tmp_path)) as served:
        await served.send("/v1/catalogue/products", [{"id": "a"}, {"id": "b"}, {"id": "c"}])
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'body BLOB NOT NULL', 'body BLOB')"
            " WHERE name = 'catalogue'"
        )
        connection.commit()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute(f"UPDATE catalogue SET {change} WHERE id = 'b'")
        connection.commit()
    async with shop(SqliteStore(tmp_path)) as served:
        assert list(await items(served)) == ["a", "c"]
        assert len(served.runtime.catalogue.damaged) == 1


async def test_a_damaged_item_is_in_no_answer_and_goes_with_the_next_load() -> None:
    class Damaged(MemoryStore):
        is_damaged = True

        async def catalogue(
            self, after: tuple[str, str], limit: int, *, kind: str = ""
        ) -> list[CatalogueRow]:
            rows = await super().catalogue(after, limit, kind=kind)
            return [row._replace(body=b"") if self.is_damaged else row for row in rows]

    store = Damaged()
    await store.open()
    await store.commit(Commit(catalogue=[CatalogueRow("products", "a", b"?")]))
    await store.close()
    async with shop(store) as served:
        assert await items(served) == {}
        (await served.send("/v1/catalogue/products/a", method="GET")).refused(404, "not_found")
        (await served.send("/v1/track", call(properties={"product_id": "a"}))).accepted()
        answer = await served.send("/v1/catalogue/products", [{"id": "b"}], method="PUT")
        assert report(answer) == (1, 0, 1, [])
        store.is_damaged = False
        assert await items(served) == {"b": {}}
