"""Browsers: preflight for each address, answers that a page may read."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.gateway_host import LOCKED, Served, call, overloaded, running

ORIGIN = {"Origin": "https://shop.example"}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as gateway:
        yield gateway


@pytest.mark.parametrize(
    "path",
    [
        "/v1/i",
        "/v1/track",
        "/v1/b",
        "/v1/batch/",
        "/beacon/v1/batch",
        "/v1/consent",
        "/v1/cloudevents",
    ],
)
@pytest.mark.parametrize(
    "asked",
    [
        "authorization",
        "authorization,x-retry-count",
        "anonymousid,authorization,content-type,sentat,rsa-retry-attempt",
    ],
)
async def test_a_preflight_allows_what_was_asked_for(served: Served, path: str, asked: str) -> None:
    headers = ORIGIN | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }
    answer = await served.send(path, method="OPTIONS", headers=headers)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    assert answer.headers["Access-Control-Allow-Headers"] == asked
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Max-Age"] == "86400"
    assert answer.headers["Vary"] == "Origin"


async def test_a_preflight_needs_no_key() -> None:
    async with running(LOCKED) as served:
        answer = await served.send("/v1/t", method="OPTIONS", headers=ORIGIN)
        assert answer.status == 204


async def test_what_is_no_header_name_is_not_allowed(served: Served) -> None:
    headers = ORIGIN | {"Access-Control-Request-Headers": '"><script>'}
    answer = await served.send("/v1/t", method="OPTIONS", headers=headers)
    assert "Access-Control-Allow-Headers" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/t", "/v1/t?x=1"])
async def test_a_page_may_read_the_answer_and_when_to_come_back(served: Served, path: str) -> None:
    served.runtime.troubles.append(overloaded())
    busy = await served.send(path, call(), headers=ORIGIN)
    assert busy.refused(429, "overloaded").headers["Retry-After"] == "1"
    stored = (await served.send(path, call(), headers=ORIGIN)).accepted()
    broken = (await served.send(path, b"nonsense", headers=ORIGIN)).refused(400, "unreadable_json")
    for answer in (busy, stored, broken):
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"


async def test_nobody_else_gets_these_headers(served: Served) -> None:
    answer = (await served.send("/v1/t", call())).accepted()
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_settings_may_be_read_from_a_page(served: Served) -> None:
    for path in ("/v1/projects/k/settings", "/sourceConfig/?writeKey=k"):
        answer = await served.send(path, method="GET", headers=ORIGIN)
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]


async def test_the_reading_side_is_not_opened_to_pages(served: Served) -> None:
    answer = await served.send("/v1/quarantine", method="GET", headers=ORIGIN)
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_beacon_brings_its_key_in_the_address() -> None:
    async with running(LOCKED) as served:
        headers = ORIGIN | {"Content-Type": "text/plain;charset=UTF-8"}
        path = "/beacon/v1/batch?writeKey=write-key"
        (await served.send(path, {"batch": [call(messageId="m1")]}, headers=headers)).accepted()
        assert "m1" in served.runtime.inputs
