"""What the API tells about one customer: the profile and the journal."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import msgspec
import pytest

from adapters.gateway import query
from adapters.gateway.views import Customer, TimelinePage
from engine.events import ConsentStatement, ConsentStatus, Receipt, ReceiptStatus, Tick
from engine.instants import HOUR_MS, format_instant
from engine.profile import Instance, Pending, Profile, Sent
from engine.records import Entered, Suppressed, WakeSet
from tests.e2e.reading_host import ADMIN, NOW, Served, decided, event, serve


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve(query.routes) as running:
        yield running


def a_profile() -> Profile:
    profile = Profile(
        "u1", traits={"email": "zoe@example.com", "vip": True, "timezone": "Asia/Tokyo"}
    )
    profile.consents["marketing/*"] = ConsentStatement(
        "marketing", "*", ConsentStatus.GRANTED, NOW - HOUR_MS, "form"
    )
    profile.session_at, profile.active_at, profile.first_at = NOW - 600_000, NOW - 60_000, NOW - 1
    profile.instances[1] = Instance(
        1, "cart", "sha256:j1", NOW - HOUR_MS, 1, 4, NOW + HOUR_MS, event_name="Product Added"
    )
    profile.pending[2] = Pending(
        2, "reminder", "promotional", "email", "cart", 1, "first", 3,
        NOW + HOUR_MS, NOW, NOW + 2 * HOUR_MS, "", (), 0,
    )  # fmt: skip
    for number in (1, 2):
        profile.sends[f"m_{number}"] = Sent(
            f"m_{number}", 1, "reminder", "promotional", "email", NOW - 100 + number, "cart", 1,
            "first", NOW, None, "", (), 0, ["accepted", "opened"],
        )  # fmt: skip
    profile.suppressed = {"just_bought": NOW + HOUR_MS, "over": NOW}
    return profile


async def test_a_profile_says_who_where_what_waits_and_why(served: Served) -> None:
    served.runtime.profiles["u1"] = a_profile()
    served.runtime.decide(("u1", decided(1, proposal=2)), ("u1", decided(2, proposal=9)))
    found = await served.get("/v1/customers/u1")
    view = msgspec.convert(found, Customer)
    assert view.customer == "u1"
    assert view.traits["vip"] is True
    assert view.timezone == "Asia/Tokyo"
    assert [(one.namespace, one.value, one.channels) for one in view.identities] == [
        ("email", "zoe@example.com", ["email"])
    ]
    assert found["consents"] == [
        {
            "purpose": "marketing",
            "channel": "*",
            "status": "granted",
            "at": "2026-03-02T11:00:00Z",
            "source": "form",
        }
    ]
    assert found["session"] == {
        "open": True,
        "since": "2026-03-02T11:50:00Z",
        "last_active_at": "2026-03-02T11:59:00Z",
    }
    [stay] = view.journeys
    assert (stay.journey, stay.step, stay.waiting_for) == ("cart", "pause", "time")
    assert stay.waiting_until == "2026-03-02T13:00:00Z"
    [waiting] = view.pending
    assert (waiting.reason, waiting.decision_id) == ("outside_window", "d_0000000000000001")
    assert waiting.next_eligible == "2026-03-02T13:00:00Z"
    assert [sent.message_id for sent in view.sends] == ["m_2", "m_1"]
    assert view.sends[0].statuses == ["accepted", "opened"]
    assert [one.rule for one in view.suppressions] == ["just_bought"]


async def test_a_session_that_timed_out_is_closed(served: Served) -> None:
    profile = a_profile()
    profile.active_at = NOW - HOUR_MS
    served.runtime.profiles["u1"] = profile
    found = await served.get("/v1/customers/u1")
    assert found["session"]["open"] is False
    assert found["session"]["since"] is None


async def test_a_journey_version_nobody_has_any_more_does_not_hide_the_stay(served: Served) -> None:
    profile = a_profile()
    profile.instances[1].version = "sha256:gone"
    served.runtime.profiles["u1"] = profile
    [stay] = (await served.get("/v1/customers/u1"))["journeys"]
    assert stay["journey"] == "cart"
    assert stay["step"] == ""


@pytest.mark.parametrize("customer", ["a/b", "Zoë ☃", "50%", "{id}", "a?b#c", "..%2f"])
async def test_any_id_can_be_asked_for_when_it_is_percent_encoded(
    served: Served, customer: str
) -> None:
    served.runtime.profiles[customer] = Profile(customer)
    served.runtime.write(customer, event())
    path = f"/v1/customers/{quote(customer, safe='')}"
    # yarl would decode and encode again: the raw request line is what matters here.
    for suffix, key in (("", "traits"), ("/timeline", "entries"), ("/decisions", "decisions")):
        found = await served.get(path + suffix)
        assert key in found
        assert found.get("customer", customer) == customer


async def test_an_anonymous_id_leads_to_the_customer_it_was_linked_to(served: Served) -> None:
    served.runtime.profiles["u1"] = a_profile()
    served.runtime.links["anonymous_id", "a-7"] = "u1"
    assert (await served.get("/v1/customers/a-7"))["customer"] == "u1"


@pytest.mark.parametrize("suffix", ["", "/timeline", "/decisions"])
async def test_an_unknown_customer_is_404_in_json(served: Served, suffix: str) -> None:
    found = await served.get(f"/v1/customers/nobody{suffix}", 404)
    assert found["success"] is False
    assert found["code"] == "not_found"
    assert "nobody" not in found["message"]


async def test_an_id_longer_than_ids_are_is_refused(served: Served) -> None:
    found = await served.get(f"/v1/customers/{'x' * 300}", 400)
    assert found["code"] == "bad_id"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/customers/u1",
        "/v1/customers/u1/timeline",
        "/v1/customers/u1/decisions",
        "/v1/decisions",
        "/v1/decisions/d_1",
        "/v1/quarantine",
    ],
)
async def test_nothing_is_shown_without_the_admin_key(served: Served, path: str) -> None:
    served.runtime.profiles["u1"] = a_profile()
    for headers in ({"X-Other": "1"}, {"Authorization": "Bearer write-key"}):
        found = await served.get(path, 401, headers)
        assert found["code"] == "unauthorized"
        assert set(found) == {"success", "code", "message", "path"}
    async with served.session.get(served.url + path, headers=ADMIN) as response:
        assert response.status in (200, 404)


async def test_the_timeline_shows_inputs_with_their_records_newest_first(served: Served) -> None:
    runtime = served.runtime
    runtime.profiles["u1"] = a_profile()
    runtime.write("u1", event(1), [Entered(1, "cart", "sha256:j1", NOW), decided(1)])
    runtime.write("u1", Receipt("r-1", "u1", "m_1", ReceiptStatus.OPENED, NOW, NOW))
    runtime.write("u1", Tick(3, NOW), [WakeSet(4, NOW + HOUR_MS, "instance", 1)])
    found = await served.get("/v1/customers/u1/timeline")
    page = msgspec.convert(found, TimelinePage)
    assert [(entry.kind, entry.name) for entry in page.entries] == [
        ("timer", "wake"),
        ("receipt", "opened"),
        ("event", "Product Added"),
    ]
    assert page.next is None
    timer, receipt, first = page.entries
    assert timer.records == [
        {
            "type": "wake_set",
            "timer": 4,
            "at": "2026-03-02T13:00:00Z",
            "kind": "instance",
            "target": 1,
        }
    ]
    assert receipt.input["type"] == "receipt"
    assert receipt.input["at"] == format_instant(NOW)
    # A client's own property called `at` is theirs, not an instant of ours.
    assert first.input["properties"] == {"price": 60, "at": 5}
    assert first.records[0]["at"] == format_instant(NOW)
    assert first.records[1]["decision_id"] == "d_0000000000000001"
    assert first.records[1]["trace"][0]["rule"] == "channels.email.window"


async def test_the_timeline_is_paged_without_a_gap_or_a_repetition(served: Served) -> None:
    served.runtime.profiles["u1"] = a_profile()
    for number in range(1, 8):
        served.runtime.write("u1", event(number))
    seen: list[int] = []
    cursor, pages = "", 0
    while True:
        found = await served.get(f"/v1/customers/u1/timeline?limit=3{cursor}")
        seen += [entry["seq"] for entry in found["entries"]]
        pages += 1
        if found["next"] is None:
            break
        cursor = f"&cursor={found['next']}"
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    assert pages == 3


async def test_the_timeline_is_filtered_by_kind_name_and_time(served: Served) -> None:
    runtime = served.runtime
    runtime.profiles["u1"] = a_profile()
    for number in range(1, 11):
        given = event(number, "Order Completed") if number % 5 == 0 else event(number)
        runtime.write("u1", Tick(number, NOW) if number % 2 == 1 else given)

    async def seqs(filters: str) -> list[int]:
        found = await served.get(f"/v1/customers/u1/timeline?{filters}")
        return [entry["seq"] for entry in found["entries"]]

    assert await seqs("kind=timer") == [9, 7, 5, 3, 1]
    assert await seqs("name=Order+Completed") == [10]
    third, seventh = format_instant(NOW - 21 * HOUR_MS), format_instant(NOW - 17 * HOUR_MS)
    assert await seqs(f"since={third}&until={seventh}") == [7, 6, 5, 4, 3]
    assert await seqs(f"kind=event&since={third}&until={seventh}") == [6, 4]
    assert await seqs("kind=receipt") == []


async def test_a_rare_filter_reads_on_until_the_page_is_full_or_the_bound_is_met(
    served: Served,
) -> None:
    runtime = served.runtime
    runtime.profiles["u1"] = a_profile()
    runtime.write("u1", event(1, "Signed Up"))
    for number in range(2, 2_102):
        runtime.write("u1", event(number))
    found = await served.get("/v1/customers/u1/timeline?name=Signed+Up")
    assert found["entries"] == []
    assert found["next"] is not None
    found = await served.get(f"/v1/customers/u1/timeline?name=Signed+Up&cursor={found['next']}")
    assert [entry["seq"] for entry in found["entries"]] == [1]
    assert found["next"] is None


async def test_an_entry_that_can_not_be_read_is_shown_as_such(served: Served) -> None:
    runtime = served.runtime
    runtime.profiles["u1"] = a_profile()
    runtime.write("u1", event(1), [Suppressed("just_bought", NOW)])
    kept = runtime.scripted.entries_kept
    kept[0] = kept[0]._replace(input=b"\xc1", records=b"\x00")
    [shown] = (await served.get("/v1/customers/u1/timeline"))["entries"]
    assert shown["name"] == "unreadable"
    assert shown["records"] == [{"type": "unreadable", "bytes": 1}]


@pytest.mark.parametrize(
    ("parameters", "path", "word"),
    [
        ("knd=event", "query", "did you mean 'kind'"),
        ("kind=events", "query.kind", "event, receipt, timer"),
        ("limit=0", "query.limit", ">= 1"),
        ("limit=201", "query.limit", "<= 200"),
        ("limit=many", "query.limit", "int"),
        ("limit=", "query.limit", "empty"),
        ("limit=5&limit=6", "query.limit", "twice"),
        ("since=yesterday", "query.since", "2026-03-02T05:12:00Z"),
        ("until=9999-12-31T23:59:59Z", "query.until", "1900 and 2100"),
        ("cursor=abc", "query.cursor", "next"),
        ("cursor=%00%ff", "query.cursor", "next"),
        ("name=" + "x" * 300, "query.name", "length"),
    ],
)
async def test_a_bad_parameter_is_refused_with_its_name_and_what_would_be_right(
    served: Served, parameters: str, path: str, word: str
) -> None:
    served.runtime.profiles["u1"] = a_profile()
    found = await served.get(f"/v1/customers/u1/timeline?{parameters}", 400)
    assert found["path"] == path
    assert word in found["message"]
    assert found["success"] is False
