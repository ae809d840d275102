"""Erasing over HTTP: who may ask, what is answered when, and that an answer names nobody."""

import pytest

from adapters.gateway import erasure
from engine.errors import StoreError
from tests.e2e.reading_host import ADMIN, WRITER, Served, serve


async def delete(
    served: Served, path: str, headers: dict[str, str] = ADMIN
) -> tuple[int, str, dict[str, object]]:
    async with served.session.delete(served.url + path, headers=headers) as response:
        return response.status, response.headers.get("Location", ""), await response.json()


async def test_an_erasure_that_is_done_is_answered_with_200() -> None:
    async with serve(erasure.routes) as served:
        status, _, told = await delete(served, "/v1/customers/ursula%2F1")
        assert (status, told["state"], told["entries"]) == (200, "done", 7)
        assert served.runtime.scripted_erasures.asked == ["ursula/1"]
        assert "ursula" not in str(told)
        assert [act for _, act, _, _ in served.runtime.noted] == ["erased"]
        assert "ursula" not in str(served.runtime.noted)


async def test_one_that_is_not_done_says_where_to_look() -> None:
    async with serve(erasure.routes) as served:
        status, where, told = await delete(served, "/v1/customers/ursula?wait=0")
        assert (status, where, told["state"]) == (202, "/v1/erasures/1", "erasing")
        assert (await served.get(where))["state"] == "erasing"


async def test_a_write_key_does_not_open_it() -> None:
    async with serve(erasure.routes) as served:
        status, _, told = await delete(served, "/v1/customers/ursula", WRITER)
        assert (status, told["code"]) == (401, "unauthorized")
        assert served.runtime.scripted_erasures.asked == []


@pytest.mark.parametrize("query", ["?wait=61", "?wait=soon", "?force=1"])
async def test_a_parameter_that_is_wrong_erases_nobody(query: str) -> None:
    async with serve(erasure.routes) as served:
        status, _, _ = await delete(served, f"/v1/customers/ursula{query}")
        assert status == 400
        assert served.runtime.scripted_erasures.asked == []


async def test_a_store_that_can_not_take_it_is_told_of_with_503() -> None:
    async with serve(erasure.routes) as served:
        served.runtime.scripted_erasures.failure = StoreError("the disk is full")
        status, _, told = await delete(served, "/v1/customers/ursula")
        assert (status, told["code"]) == (503, "unavailable")


@pytest.mark.parametrize("number", ["7", "9" * 40])
async def test_an_erasure_nobody_knows_is_not_found(number: str) -> None:
    async with serve(erasure.routes) as served:
        await served.get(f"/v1/erasures/{number}", 404)
