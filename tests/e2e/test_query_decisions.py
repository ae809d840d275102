"""What the API tells about decisions and about items that were not understood."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from actors.rows import QuarantineRow
from adapters.gateway import query
from adapters.gateway.views import Decision, DecisionPage, QuarantinePage
from engine.errors import StoreError
from engine.instants import format_instant
from engine.profile import Profile
from engine.reasons import Outcome, Reason
from tests.e2e.reading_host import ADMIN, NOW, Served, decided, serve


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve(query.routes) as running:
        yield running


def a_day_of_decisions(served: Served) -> None:
    served.runtime.profiles = {"u1": Profile("u1"), "u2": Profile("u2")}
    sent = {"outcome": Outcome.SEND, "reason": Reason.SENT, "next_eligible": None}
    served.runtime.decide(
        ("u1", decided(1)),
        ("u2", decided(2, journey="welcome")),
        ("u1", decided(3, **sent)),
        ("u1", decided(4, journey="welcome", reason=Reason.SHARED_CAP)),
        ("u2", decided(5, **sent)),
    )


async def numbers(served: Served, path: str) -> list[int]:
    found = await served.get(path)
    return [int(one["cause"]["event"][2:]) for one in found["decisions"]]


async def test_one_decision_is_shown_with_its_whole_trace(served: Served) -> None:
    a_day_of_decisions(served)
    found = await served.get("/v1/decisions/d_0000000000000001")
    view = msgspec.convert(found, Decision)
    assert view.customer == "u1"
    assert view.cause == {"event": "e-1"}
    assert view.reason_class == "healthy"
    assert found["trace"] == [
        {
            "channel": "email",
            "check": "window",
            "result": "blocked",
            "rule": "channels.email.window",
            "until": "2026-03-02T13:00:00Z",
        }
    ]


async def test_an_unknown_decision_is_404_in_json(served: Served) -> None:
    assert (await served.get("/v1/decisions/d_nothing", 404))["code"] == "not_found"


async def test_decisions_are_listed_newest_first_over_all_customers_or_one(served: Served) -> None:
    a_day_of_decisions(served)
    assert await numbers(served, "/v1/decisions") == [5, 4, 3, 2, 1]
    assert await numbers(served, "/v1/customers/u1/decisions") == [4, 3, 1]
    assert msgspec.convert(await served.get("/v1/decisions"), DecisionPage).next is None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("outcome=send", [5, 3]),
        ("reason=shared_cap", [4]),
        ("journey=welcome", [4, 2]),
        ("journey=welcome&outcome=send", []),
        (f"since={format_instant(NOW + 3)}", [5, 4, 3]),
        (f"until={format_instant(NOW + 3)}", [3, 2, 1]),
        ("since=2026-03-02T14:00:00%2B02:00", [5, 4, 3, 2, 1]),
        ("since=2026-03-02T14:00:00+02:00", [5, 4, 3, 2, 1]),  # the plus left as it is
        ("since=2026-03-03", []),
    ],
)
async def test_decisions_are_filtered(served: Served, filters: str, expected: list[int]) -> None:
    a_day_of_decisions(served)
    assert await numbers(served, f"/v1/decisions?{filters}") == expected


async def test_decisions_are_paged_without_a_gap_or_a_repetition(served: Served) -> None:
    a_day_of_decisions(served)
    first = await served.get("/v1/decisions?limit=2")
    second = await served.get(f"/v1/decisions?limit=2&cursor={first['next']}")
    third = await served.get(f"/v1/decisions?limit=2&cursor={second['next']}")
    listed = [one["at"] for page in (first, second, third) for one in page["decisions"]]
    assert listed == [format_instant(NOW + number) for number in (5, 4, 3, 2, 1)]
    assert third["next"] is None


async def test_a_cursor_of_another_list_is_refused(served: Served) -> None:
    a_day_of_decisions(served)
    page = await served.get("/v1/decisions?limit=2")
    found = await served.get(f"/v1/quarantine?cursor={page['next']}", 400)
    assert (found["code"], found["path"]) == ("bad_cursor", "query.cursor")


@pytest.mark.parametrize(
    ("parameters", "path", "word"),
    [
        ("outcome=sent", "query.outcome", "did you mean 'send'"),
        ("outcome=null", "query.outcome", "send, defer, drop, substitute"),
        ("reason=shard_cap", "query.reason", "did you mean 'shared_cap'"),
        ("channel=email", "query", "only journey"),
        ("since=2026-13-01", "query.since", "not an instant"),
    ],
)
async def test_a_bad_filter_is_refused(
    served: Served, parameters: str, path: str, word: str
) -> None:
    found = await served.get(f"/v1/decisions?{parameters}", 400)
    assert found["path"] == path
    assert word in found["message"]


async def test_what_was_sent_is_not_repeated_in_a_refusal(served: Served) -> None:
    for parameters in ("reason=<script>1</script>", "<script>=1", "since=<script>"):
        async with served.session.get(
            f"{served.url}/v1/decisions?{parameters}", headers=ADMIN
        ) as response:
            assert response.status == 400
            assert "script" not in await response.text()


async def test_a_store_that_can_not_be_read_is_503_with_retry_after(served: Served) -> None:
    served.runtime.scripted.failure = StoreError("disk I/O error")
    async with served.session.get(f"{served.url}/v1/decisions", headers=ADMIN) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        assert (await response.json())["code"] == "unavailable"


def quarantined(number: int, payload: bytes) -> QuarantineRow:
    return QuarantineRow(number, NOW + number, "http", "no_user", "$.userId", "who?", payload)


async def test_quarantine_shows_why_and_a_safe_piece_of_what(served: Served) -> None:
    kept = served.runtime.scripted.kept
    kept.append(quarantined(1, b'{"event": "x"}'))
    kept.append(quarantined(2, b"\xff\x00<b>" + b"y" * 50_000))
    found = await served.get("/v1/quarantine")
    newest, oldest = msgspec.convert(found, QuarantinePage).items
    assert (oldest.number, oldest.code, oldest.path) == (1, "no_user", "$.userId")
    assert (oldest.payload, oldest.payload_bytes, oldest.truncated) == (
        '{"event": "x"}',
        14,
        False,
    )
    assert newest.truncated
    assert newest.payload_bytes == 50_005
    assert newest.payload.startswith("\ufffd\x00<b>yy")
    assert len(newest.payload) == 2_000


async def test_quarantine_is_paged(served: Served) -> None:
    served.runtime.scripted.kept.extend(quarantined(number, b"{}") for number in range(1, 6))
    first = await served.get("/v1/quarantine?limit=4")
    second = await served.get(f"/v1/quarantine?limit=4&cursor={first['next']}")
    listed = [item["number"] for page in (first, second) for item in page["items"]]
    assert listed == [5, 4, 3, 2, 1]
    assert second["next"] is None
