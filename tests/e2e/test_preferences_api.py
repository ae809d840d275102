"""`PUT /v1/customers/{id}/preferences` over real HTTP."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.customer_pages import Shop, open_shop
from tests.e2e.gateway_host import Answer

SNIPPETS = Path(__file__).resolve().parents[2] / "docs" / "snippets"
PATH = "/v1/customers/u1/preferences"


async def put(shop: Shop, body: object) -> Answer:
    return await shop.served.send(PATH, body, method="PUT")


async def test_wishes_are_taken_and_null_takes_one_back() -> None:
    async with open_shop() as shop:
        wishes: dict[str, Any] = {
            "do_not_disturb": "2031-05-01T08:00:00+02:00",
            "quiet_hours": {"weekdays": "20:00-08:00"},
            "frequency_caps": {"marketing": ["1 / 7d", "1 / calendar_day"]},
            "channel_preferences": {"newsletter": "sms"},
            "preferred_channel": "email",
            "timezone": "Africa/Johannesburg",
            "locale": "af-ZA",
        }
        (await put(shop, wishes)).accepted()
        traits = (await shop.profile()).traits
        assert traits == {**wishes, "do_not_disturb": "2031-05-01T06:00:00Z"}
        (await put(shop, dict.fromkeys(wishes))).accepted()
        assert (await shop.profile()).traits == {}


async def test_a_deferred_message_of_a_type_is_dropped_once_the_type_is_not_wanted() -> None:
    policies = {"blackouts": [{"name": "all", "from": "2020-01-01", "to": "2020-12-31"}]}
    channels = {
        "email": {"adapter": "log", "identity": "email"},
        "sms": {"adapter": "log", "identity": "phone", "window": "23:58-23:59"},
    }
    async with open_shop(policies=policies, channels=channels) as shop:
        await shop.call("identify", traits={"phone": "+27821234567"})
        await shop.sign_up(channel="sms")
        await shop.call("track", event="News")
        assert len((await shop.profile()).pending) == 1
        (await put(shop, {"types": {"newsletter": "denied"}})).accepted()
        assert (await shop.profile()).pending == {}
        answer = await shop.get("/v1/customers/u1/decisions?reason=consent_withdrawn")
        assert [one["message"] for one in answer.said["decisions"]] == ["news"]


@pytest.mark.parametrize(
    ("body", "path", "hint"),
    [
        ({}, "$", "at least one"),
        ({"do_not_distrub": True}, "do_not_distrub", "do_not_disturb"),
        ({"do_not_disturb": "soon"}, "do_not_disturb", "2026-03-02"),
        ({"do_not_disturb": []}, "do_not_disturb", "2026-03-02"),
        ({"quiet_hours": "9-5"}, "quiet_hours", "09:00-20:00"),
        ({"quiet_hours": {"someday": "09:00-20:00"}}, "quiet_hours", "mon"),
        ({"quiet_hours": {}}, "quiet_hours", "empty"),
        ({"frequency_caps": "often"}, "frequency_caps", "2 / 24h"),
        ({"frequency_caps": []}, "frequency_caps", "1 / 7d"),
        ({"frequency_caps": {"marketting": "1 / 7d"}}, "frequency_caps.marketting", "marketing"),
        ({"frequency_caps": {"marketing": 7}}, "frequency_caps.marketing", "1 / 7d"),
        ({"channel_preferences": "sms"}, "channel_preferences", "map"),
        (
            {"channel_preferences": {"newsletter": "emial"}},
            "channel_preferences.newsletter",
            "email",
        ),
        ({"channel_preferences": {"letter": "sms"}}, "channel_preferences.letter", "newsletter"),
        ({"preferred_channel": 1}, "preferred_channel", "name"),
        ({"timezone": "Mars/Base"}, "timezone", "IANA"),
        ({"locale": ""}, "locale", "language"),
        ({"types": []}, "types", "map"),
        ({"types": {"newsletter": "granted", "offers": "no"}}, "types.offers", "denied"),
        ({"types": {"newsleter": "denied"}}, "types.newsleter", "newsletter"),
        ({"locale": "en", "messageId": 7}, "messageId", "text"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_its_path_and_what_would_be_right(
    body: dict[str, Any], path: str, hint: str
) -> None:
    async with open_shop() as shop:
        answer = await put(shop, body)
        assert answer.status == 400
        assert answer.said["path"] == path
        assert hint in answer.said["message"]
        assert await shop.runtime.profile("u1") is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'{"types": {"\xff": "denied"}}'])
async def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    async with open_shop() as shop:
        assert (await put(shop, body)).status == 400


async def test_the_same_message_id_counts_once() -> None:
    async with open_shop() as shop:
        (await put(shop, {"locale": "fr", "messageId": "p1"})).accepted()
        (await put(shop, {"locale": "de", "messageId": "p1"})).accepted()
        assert (await shop.profile()).traits == {"locale": "fr"}


async def test_what_the_documentation_sends_is_taken() -> None:
    async with open_shop() as shop:
        statement = (SNIPPETS / "statement.json").read_bytes()
        (await shop.served.send("/v1/consent", statement)).accepted()
        wishes = (SNIPPETS / "wishes.json").read_bytes()
        (await shop.served.send(PATH, wishes, method="PUT")).accepted()
        assert (await shop.profile()).traits["quiet_hours"] == "21:00-07:00"
