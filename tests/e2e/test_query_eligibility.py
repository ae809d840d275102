"""Whether a message may go to a customer, asked over HTTP, now and at other instants."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from adapters.gateway import query
from adapters.gateway.views import Customer, Eligibility
from engine.events import ConsentStatement, ConsentStatus
from engine.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from engine.ledger import Slot, enter_slot
from engine.profile import Profile
from engine.program.compile import compile_source
from tests.e2e.reading_host import NOW, Served, serve

EVENING = "2026-03-02T19:30:00Z"  # 21:30 in Johannesburg
WORKSPACE: dict[str, Any] = {
    "workspace": "shop",
    "defaults": {"timezone": "Africa/Johannesburg", "country": "ZA"},
    "consent": {"marketing": "opt_out"},
    "channels": {
        "email": {
            "adapter": "log",
            "identity": "email",
            "window": "09:00-20:00",
            "caps": ["2 / 1d"],
        },
        "sms": {"adapter": "log", "identity": "phone", "window": "10:00-18:00"},
    },
    "message_types": {
        "promotional": {"purpose": "marketing", "channels": ["email", "sms"], "expires": "48h"},
        "receipt": {"purpose": "service", "channels": ["email"]},
    },
    "messages": {
        "cart_reminder": {
            "type": "promotional",
            "content": {"email": {"subject": "Hi", "body": "Hi"}, "sms": {"body": "Hi"}},
        },
        "invoice": {"type": "receipt", "content": {"email": {"subject": "Hi", "body": "Hi"}}},
    },
    "journeys": {
        "cart": {"trigger": {"event": "Product Added"}, "steps": [{"send": "cart_reminder"}]}
    },
}


def a_profile(customer: str = "ana", **traits: object) -> Profile:
    stated = {"email": "ana@example.com", "phone": "+27821234567", **traits}
    return Profile(customer, traits=stated, first_at=NOW - DAY_MS)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve(query.routes) as running:
        running.runtime.program = compile_source(WORKSPACE)
        running.runtime.profiles["ana"] = a_profile()
        yield running


async def ask(
    served: Served, question: str = "", customer: str = "ana", message: str = "cart_reminder"
) -> Eligibility:
    path = f"/v1/customers/{quote(customer, safe='')}/eligibility?message={message}{question}"
    return msgspec.convert(await served.get(path), Eligibility)


async def test_a_message_that_may_go_now(served: Served) -> None:
    answer = await ask(served)
    assert (answer.eligible, answer.outcome, answer.reason) == (True, "send", "sent")
    assert answer.channel == "email"
    assert answer.at == answer.next_eligible == format_instant(NOW)
    assert answer.known
    assert [(one.channel, one.eligible) for one in answer.channels] == [
        ("email", True),
        ("sms", True),
    ]
    assert answer.changes == []
    assert answer.program == served.runtime.program.version


async def test_at_another_instant_it_says_why_not_when_and_what_would_change_it(
    served: Served,
) -> None:
    answer = await ask(served, f"&at={EVENING}")
    assert (answer.eligible, answer.outcome, answer.reason) == (False, "defer", "outside_window")
    assert answer.reason_class == "healthy"
    assert answer.next_eligible == "2026-03-03T07:00:00Z"
    email, sms = answer.channels
    assert (email.eligible, email.next_eligible) == (False, "2026-03-03T07:00:00Z")
    assert sms.next_eligible == "2026-03-03T08:00:00Z"
    [block] = email.blocks
    assert (block.check, block.reason, block.rule) == (
        "window",
        "outside_window",
        "channels.email.window",
    )
    assert block.until == "2026-03-03T07:00:00Z"
    assert "Africa/Johannesburg" in block.seen
    assert any(change.startswith("email: ") for change in answer.changes)
    assert [(line.channel, line.result) for line in answer.trace] == [("email", "blocked")]
    place = answer.place
    assert (place.timezone, place.source, place.confidence) == (
        "Africa/Johannesburg",
        "phone",
        "medium",
    )
    assert (place.country, place.timezones) == ("ZA", ["Africa/Johannesburg"])


async def test_a_past_instant_is_answered_on_what_is_known_now(served: Served) -> None:
    answer = await ask(served, "&at=2026-02-01T10:00:00%2B02:00")
    assert (answer.eligible, answer.at) == (True, "2026-02-01T08:00:00Z")


async def test_one_channel_can_be_asked_about(served: Served) -> None:
    answer = await ask(served, f"&channel=sms&at={EVENING}")
    assert [one.channel for one in answer.channels] == ["sms"]
    assert (answer.channel, answer.next_eligible) == ("sms", "2026-03-03T08:00:00Z")


async def test_what_is_missing_is_said_in_its_class(served: Served) -> None:
    served.runtime.profiles["ben"] = Profile("ben", traits={})
    answer = await ask(served, customer="ben")
    assert (answer.outcome, answer.reason, answer.reason_class) == (
        "drop",
        "unreachable",
        "blocking",
    )
    assert answer.next_eligible is None
    assert [one.blocks[0].until for one in answer.channels] == [None, None]
    withdrawn = a_profile("cleo")
    withdrawn.consents["marketing/*"] = ConsentStatement(
        "marketing", "*", ConsentStatus.WITHDRAWN, NOW - HOUR_MS, "form"
    )
    served.runtime.profiles["cleo"] = withdrawn
    answer = await ask(served, customer="cleo")
    assert answer.reason == "no_consent"
    assert "email: the customer's consent to this purpose on this channel" in answer.changes


async def test_asking_changes_nothing(served: Served) -> None:
    before = msgspec.msgpack.encode(served.runtime.profiles["ana"])
    first = await ask(served)
    assert await ask(served) == first
    assert msgspec.msgpack.encode(served.runtime.profiles["ana"]) == before
    assert served.runtime.taken == []


async def test_a_customer_of_whom_nothing_is_known_is_a_new_one(served: Served) -> None:
    answer = await ask(served, customer="no/body ☃")
    assert (answer.known, answer.customer) == (False, "no/body ☃")
    assert (answer.outcome, answer.reason) == ("drop", "unreachable")
    assert (answer.place.source, answer.place.confidence) == ("workspace", "low")


async def test_an_anonymous_id_leads_to_the_customer(served: Served) -> None:
    served.runtime.links["anonymous_id", "a-7"] = "ana"
    answer = await ask(served, customer="a-7")
    assert (answer.known, answer.customer) == (True, "ana")


@pytest.mark.parametrize(
    ("question", "status", "path", "word"),
    [
        ("", 400, "query.message", "name a message"),
        ("message=", 400, "query.message", "empty"),
        ("message=cart_remainder", 404, "query.message", "did you mean 'cart_reminder'?"),
        ("message=nomsg", 404, "query.message", "; messages: "),
        ("message=%F0%9F%98%80", 404, "query.message", "no message of this name"),
        ("message=" + "x" * 300, 400, "query.message", "length"),
        ("message=invoice&at=yesterday", 400, "query.at", "2026-03-02T05:12:00Z"),
        ("message=invoice&at=2027-06-01T00:00:00Z", 400, "query.at", "400 days"),
        ("message=invoice&at=2024-06-01T00:00:00Z", 400, "query.at", "400 days"),
        ("message=invoice&at=2026-03-02T05:12:00Z&at=now", 400, "query.at", "twice"),
        ("message=cart_reminder&channel=emial", 400, "query.channel", "did you mean 'email'?"),
        ("message=invoice&channel=sms", 400, "query.channel", "goes by email"),
        ("message=invoice&when=now", 400, "query", "only message, at, channel"),
    ],
)
async def test_a_bad_question_is_refused_with_its_place(
    served: Served, question: str, status: int, path: str, word: str
) -> None:
    found = await served.get(f"/v1/customers/ana/eligibility?{question}", status)
    assert (found["success"], found["path"]) == (False, path)
    assert word in found["message"]


async def test_nothing_is_answered_without_the_admin_key(served: Served) -> None:
    path = "/v1/customers/ana/eligibility?message=invoice"
    found = await served.get(path, 401, {"Authorization": "Bearer write-key"})
    assert found["code"] == "unauthorized"


EVERY_POLICY: dict[str, Any] = {
    "caps": [{"limit": "3 / 7d"}, {"limit": "4 / calendar_month", "purposes": ["marketing"]}],
    "backoff": {"gap": "12h"},
    "cooldown": {"gap": "2h"},
    "same_message": "1d",
    "suppress": [{"name": "gone", "after": "Order Completed", "for": "2d"}],
    "on_block": ["substitute", "fallback", "defer"],
    "holidays": {},
    "blackouts": [{"name": "freeze", "from": "2026-12-20", "to": "2027-01-03"}],
    "regions": ["ZA", "US", "IN", "FR"],
    "engagement": {"low": {"rate": 0.1, "factor": 0.5}},
    "look_ahead": "1d",
    "release": {"spread": "10m"},
}
ODD_TRAITS: tuple[dict[str, object], ...] = (
    {},
    {"timezone": "Pacific/Apia", "country": "US", "state": "WA"},
    {"timezone": 7, "phone": "+1", "quiet_hours": "all the time", "frequency_caps": {"x": []}},
    {"country": "IN", "frequency_caps": "1 / week", "quiet_hours": "08:00-23:00"},
    {"preferred_channel": ["sms"], "channel_preferences": {"promotional": "fax"}},
)


@pytest.mark.parametrize("number", range(len(ODD_TRAITS)))
async def test_no_question_about_any_instant_is_a_failure(served: Served, number: int) -> None:
    """Sends, entries and suppressions may lie on either side of the instant asked about."""
    served.runtime.program = compile_source({**WORKSPACE, "policies": EVERY_POLICY})
    profile = a_profile("odd", **ODD_TRAITS[number])
    for days in (-300, -2, -1, 0):
        at = NOW + days * DAY_MS
        slot = Slot(
            at, f"m_{days}", "cart_reminder", "email", "marketing", "promotional", counts=True
        )
        enter_slot(profile.ledger, profile.tallies, slot, NOW)
    profile.suppressed = {"gone": NOW + DAY_MS}
    served.runtime.profiles["odd"] = profile
    for days in (-400, -301, -299, -30, -1, 0, 1, 27, 28, 200, 399, 400):
        for hours in (0, 5, 11, 17):
            asked = format_instant(NOW + days * DAY_MS - (hours if days > 0 else -hours) * HOUR_MS)
            answer = await ask(served, f"&at={asked}", customer="odd")
            if answer.next_eligible is not None:
                assert parse_instant(answer.next_eligible) >= parse_instant(asked)
            for channel in answer.channels:
                assert channel.eligible == (channel.blocks == [])


async def test_a_customer_is_shown_with_their_place(served: Served) -> None:
    served.runtime.profiles["u2"] = a_profile("u2", phone="+14155550100")
    found = msgspec.convert(await served.get("/v1/customers/u2"), Customer)
    assert (found.place.timezone, found.place.source) == ("America/Los_Angeles", "phone")
    assert (found.place.country, found.place.subdivision) == ("US", "CA")
