"""Calls of journeys to a real service on this machine, and those that must never be made."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web
from msgspec.structs import replace
from standardwebhooks import Webhook

from actors.ports import Answer, Permanent, Temporary
from adapters.channels.calls import HttpCaller, check_calls
from engine.effects import Call
from engine.errors import ProgramError
from engine.limits import CALL_ANSWER_BYTES_MAX as _MAX
from engine.program.compile import compile_source

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
PRESENT = datetime(2026, 3, 2, 5, 12, tzinfo=UTC)
ENVIRONMENT = {"CRM_TOKEN": "Bearer 8f3", "CRM_SECRET": SECRET, "BAD_SECRET": "hush"}


class Service:
    """An endpoint that keeps what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b'{"premium": 850}'
        self.hold: asyncio.Event | None = None
        self.hangs_up = False

    async def take(self, request: web.Request) -> web.StreamResponse:
        kept = (request.method, request.raw_path, dict(request.headers), await request.read())
        self.requests.append(kept)
        if self.hold is not None:
            await self.hold.wait()
        if self.hangs_up:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=self.status, headers=self.headers, body=self.body)

    def call(self, **parts: Any) -> Call:
        made = Call(
            call_id="c_0123456789abcdef01234567",
            customer="u1",
            journey="quote",
            step="price",
            method="POST",
            url=f"http://127.0.0.1:{self.port}/customers/a%2Fb/quote?x=1%262",
            headers={"X-Team": "growth"},
            secrets={},
            body='{"name":"Zoë"}',
            called_at=0,
            expires_at=10_000,
            takes_answer=True,
            allow_private=True,
        )
        return replace(made, **parts)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


async def make(call: Call, environment: Mapping[str, str] = ENVIRONMENT) -> Answer:
    caller = HttpCaller(environment, present=lambda: PRESENT)
    await caller.start()
    try:
        return await caller.call(call)
    finally:
        await caller.close()


async def test_a_service_gets_what_was_decided(service: Service) -> None:
    answer = await make(service.call(secrets={"Authorization": "CRM_TOKEN"}))
    assert answer == Answer(200, {"premium": 850})
    ((method, path, headers, body),) = service.requests
    assert (method, path) == ("POST", "/customers/a%2Fb/quote?x=1%262")
    assert body == '{"name":"Zoë"}'.encode()
    assert headers["Idempotency-Key"] == "c_0123456789abcdef01234567"
    assert headers["Authorization"] == "Bearer 8f3"
    assert headers["X-Team"] == "growth"
    assert headers["Content-Type"] == "application/json"
    assert headers["Accept-Encoding"] == "identity"
    assert "webhook-signature" not in headers


async def test_a_service_can_verify_what_it_got(service: Service) -> None:
    await make(service.call(signed_with="CRM_SECRET", secrets={"Authorization": "CRM_TOKEN"}))
    ((_, _, headers, body),) = service.requests
    assert headers["webhook-id"] == headers["Idempotency-Key"]
    lower = {name.lower(): value for name, value in headers.items()}
    lower["webhook-timestamp"] = headers["webhook-timestamp"]
    signed = Webhook(SECRET).sign(headers["webhook-id"], PRESENT, body.decode())
    assert headers["webhook-signature"] == signed


async def test_a_request_without_a_body_says_nothing_of_one(service: Service) -> None:
    await make(service.call(method="GET", body=""))
    ((method, _, headers, body),) = service.requests
    assert (method, body) == ("GET", b"")
    assert "Content-Type" not in headers


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[1, 2.5, null]", Answer(200, [1, 2.5, None])),
        (b"null", Answer(200, None)),
        (b'"a\\u0000b"', Answer(200, "a\ufffdb")),
        (b'{"n": 1%b}' % (b"0" * 30), Answer(200, {"n": 1e30})),
        (b"<html>", Answer(200, code="not_json")),
        (b"", Answer(200, code="not_json")),
        (b'{"a": "\xff"}', Answer(200, code="not_json")),
        (b"[" * 40 + b"]" * 40, Answer(200, code="too_deep")),
        (b"[" * 4_000 + b"]" * 4_000, Answer(200, code="not_json")),
        (b'"' + b"x" * (_MAX - 2) + b'"', Answer(200, "x" * (_MAX - 2))),
        (b'"' + b"x" * (_MAX - 1) + b'"', Answer(200, code="too_large")),
        (b"x" * 10 * 1024 * 1024, Answer(200, code="too_large")),
    ],
    ids=lambda value: "" if isinstance(value, Answer) else str(value[:12]),
)  # fmt: skip
async def test_an_answer_is_kept_where_it_can_be(
    service: Service, body: bytes, expected: Answer
) -> None:
    service.body = body
    answer = await make(service.call())
    assert answer == expected
    msgspec.msgpack.encode(answer.body)


async def test_an_answer_that_is_not_wanted_may_be_anything(service: Service) -> None:
    service.body = b"x" * 1_000_000
    assert await make(service.call(takes_answer=False)) == Answer(200)


@pytest.mark.parametrize(
    ("status", "code"), [(302, "redirect"), (308, "redirect"), (400, ""), (404, ""), (410, "")]
)
async def test_what_a_service_refuses_is_refused(service: Service, status: int, code: str) -> None:
    service.status = status
    service.headers = {"Location": f"http://127.0.0.1:{service.port}/elsewhere"}
    assert await make(service.call()) == Answer(status, code=code)
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_what_may_pass_is_worth_another_try(service: Service, status: int) -> None:
    service.status = status
    service.headers = {"Retry-After": "7"}
    with pytest.raises(Temporary) as caught:
        await make(service.call())
    assert (caught.value.retry_after_ms, caught.value.code) == (7_000, str(status))


async def test_a_service_that_hangs_up_is_asked_again(service: Service) -> None:
    service.hangs_up = True
    with pytest.raises(Temporary):
        await make(service.call())


async def test_a_service_that_is_not_there_is_asked_again(service: Service) -> None:
    with pytest.raises(Temporary):
        await make(service.call(url="http://127.0.0.1:1/"))


async def test_a_service_that_is_slow_can_be_given_up(service: Service) -> None:
    service.hold = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await make(service.call())
    service.hold.set()


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://10.0.0.1:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://0x7f.1/",
        "https://localhost/",
        "http://crm.example/",
        "https://crm.example:22/",
    ],
)
async def test_private_addresses_are_never_called(service: Service, url: str) -> None:
    with pytest.raises(Permanent) as caught:
        await make(service.call(url=url, allow_private=False))
    assert caught.value.code == "address_refused"


@pytest.mark.parametrize(
    "parts",
    [
        {"secrets": {"Authorization": "NOT_SET"}},
        {"signed_with": "NOT_SET"},
        {"signed_with": "BAD_SECRET"},
    ],
)
async def test_without_its_secret_nothing_is_sent(service: Service, parts: Any) -> None:
    with pytest.raises(Permanent) as caught:
        await make(service.call(**parts))
    assert caught.value.code == "no_secret"
    assert service.requests == []


def program(**call: Any) -> Any:
    steps = [{"id": "ask", "webhook": {"url": "https://crm.example/", **call}}]
    return compile_source(
        {"workspace": "w", "journeys": {"j": {"trigger": {"event": "Go"}, "steps": steps}}}
    )


@pytest.mark.parametrize(
    ("call", "path", "message"),
    [
        (
            {"headers": {"Authorization": {"env": "NOT_SET"}}},
            "journeys.j.steps[0].webhook.headers.Authorization",
            "the environment variable NOT_SET is not set",
        ),
        (
            {"secret": {"env": "BAD_SECRET"}},
            "journeys.j.steps[0].webhook.secret",
            "BAD_SECRET must be `whsec_` and 24 or more bytes in base64",
        ),
        (
            {"headers": {"X-Key": {"env": "TWO_LINES"}}},
            "journeys.j.steps[0].webhook.headers.X-Key",
            "TWO_LINES holds what no header can carry",
        ),
        (
            {"url": "https://10.0.0.1/{{ customer }}"},
            "journeys.j.steps[0].webhook.url",
            "the address is not on the public internet",
        ),
        (
            {"url": "https://crm.example:99999/"},
            "journeys.j.steps[0].webhook.url",
            "the address is not a URL",
        ),
    ],
)
def test_what_could_never_work_is_found_before_anything_depends_on_it(
    call: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(ProgramError) as caught:
        check_calls(program(**call), {**ENVIRONMENT, "TWO_LINES": "a\r\nb"})
    ((problem),) = caught.value.problems
    assert (problem.path, problem.message) == (path, message)


def test_what_works_is_let_through() -> None:
    headers = {"Authorization": {"env": "CRM_TOKEN"}}
    check_calls(program(headers=headers, secret={"env": "CRM_SECRET"}), ENVIRONMENT)
    check_calls(program(url="http://127.0.0.1:8080/x", allow_private=True), {})
