"""STOP over HTTP: what it takes back, of whom, how soon, and what START gives back."""

from typing import Any

import pytest

from actors.lanes import Pacing
from actors.memory import settle
from engine.consents import find_statement, is_granted
from engine.events import ConsentStatus
from engine.instants import HOUR_MS, SECOND_MS
from tests.e2e.reception_host import OTHER_PHONE, PHONE, Shop, open_shop

ONE_AT_A_TIME = {"sms": Pacing(concurrency=1)}


async def allowed(shop: Shop, channel: str, user: str = "u1", purpose: str = "marketing") -> bool:
    consents = (await shop.profile(user)).consents
    statement = find_statement(consents, purpose, channel)
    if purpose == "service":
        return statement is None or statement.status is ConsentStatus.GRANTED
    return is_granted(statement, shop.clock.now())


@pytest.mark.parametrize("text", ["STOP", "Arrêt", "baja!"])
async def test_a_stop_closes_the_providers_channels_for_every_purpose(text: str) -> None:
    async with open_shop() as shop:
        await shop.know(email="zoe@example.com")
        await shop.write(text)
        for purpose in ("marketing", "service"):
            assert not await allowed(shop, "sms", purpose=purpose)
            assert not await allowed(shop, "whatsapp", purpose=purpose)
        assert await allowed(shop, "email", purpose="service")
        await shop.call("track", event="Buy")
        await shop.call("track", event="Pay")
        assert await shop.sent(shop.sms) == []
        assert [send.channel for send in await shop.sent(shop.email)] == ["email"]
        said = (await shop.profile()).consents["*/sms"]
        assert (said.status, said.source) == (ConsentStatus.WITHDRAWN, "stop_word")
        assert (await shop.profile()).history["Message Received"].count == 1


async def test_what_waits_to_leave_does_not_leave_after_a_stop() -> None:
    async with open_shop(pacing=ONE_AT_A_TIME) as shop:
        await shop.know("u1", PHONE)
        await shop.know("u2", OTHER_PHONE)
        shop.sms.hold()
        await shop.call("track", "u2", event="Buy")  # it is at the provider, who takes its time
        await shop.call("track", "u1", event="Buy")
        await shop.call("track", "u1", event="Pay")
        assert shop.runtime.outbox.depth("sms") == 3
        await shop.write("STOP", PHONE)
        shop.sms.release()
        assert [send.customer for send in await shop.sent(shop.sms)] == ["u2"]
        answer = await shop.served.send("/v1/customers/u1/timeline", method="GET")
        assert b"consent_withdrawn" in answer.body


async def test_what_was_put_off_is_dropped_by_a_stop() -> None:
    closed = {"adapter": "log", "identity": "phone", "window": "20:00-21:00"}
    channels = {"sms": closed, "whatsapp": {"adapter": "log", "identity": "phone"}}
    types = {"promo": {"purpose": "marketing", "channels": ["sms"]}}
    messages = {"offer": {"type": "promo", "content": {"default": {"body": "offer"}}}}
    journeys = {"buy": {"trigger": {"event": "Buy"}, "steps": [{"send": "offer"}]}}
    changes: dict[str, Any] = {"message_types": types, "messages": messages, "journeys": journeys}
    async with open_shop(channels=channels, **changes) as shop:
        await shop.know()
        await shop.call("track", event="Buy")
        assert len((await shop.profile()).pending) == 1
        await shop.write("STOP")
        assert not (await shop.profile()).pending
        answer = await shop.served.send("/v1/customers/u1/decisions?outcome=drop", method="GET")
        assert [one["reason"] for one in answer.said["decisions"]] == ["consent_withdrawn"]
        shop.clock.jump_to(shop.clock.now() + 24 * HOUR_MS)
        await settle()
        assert await shop.sent(shop.sms) == []


async def test_a_stop_from_a_shared_telephone_is_everybodys() -> None:
    async with open_shop(identity={}) as shop:
        for user in ("u1", "u2"):
            await shop.know(user)
            await shop.call("track", user, event="Buy")
        await shop.sent(shop.sms)
        await shop.write("STOP")
        assert not await allowed(shop, "sms", "u1")
        assert not await allowed(shop, "sms", "u2")


async def test_a_stop_counts_as_no_answer_to_what_it_answers() -> None:
    async with open_shop() as shop:
        await shop.know()
        await shop.call("track", event="Buy")
        await shop.sent(shop.sms)
        await shop.write("STOP")
        assert await shop.engagement("sms/replied") == 0


async def test_a_stop_in_the_second_of_a_grant_outlasts_it() -> None:
    async with open_shop() as shop:
        await shop.know()
        said_at = shop.clock.now() // SECOND_MS * SECOND_MS  # providers tell whole seconds
        shop.clock.jump_to(said_at + 400)
        await shop.consent("granted", messageId="again")
        granted_at = (await shop.profile()).consents["marketing/sms"].at
        await shop.write("STOP", at=granted_at // SECOND_MS * SECOND_MS)
        assert not await allowed(shop, "sms")


async def test_a_start_gives_back_what_stop_took_and_nothing_else() -> None:
    async with open_shop() as shop:
        await shop.know()
        await shop.write("STOP")
        await shop.write("START")
        assert await allowed(shop, "sms")
        assert await allowed(shop, "sms", purpose="service")
        assert not await allowed(shop, "whatsapp")  # it never was
        assert await allowed(shop, "whatsapp", purpose="service")
        said = (await shop.profile()).consents["marketing/sms"]
        assert said.source == "start_word"
        await shop.write("STOP")
        assert not await allowed(shop, "sms")
        await shop.write("START")
        assert await allowed(shop, "sms")


async def test_a_start_does_not_undo_what_was_taken_back_otherwise() -> None:
    async with open_shop() as shop:
        await shop.know()
        await shop.write("START")  # nothing was stopped
        assert (await shop.profile()).consents["marketing/sms"].source != "start_word"
        await shop.consent("withdrawn", messageId="no more")
        await shop.write("STOP")
        await shop.write("START")
        assert not await allowed(shop, "sms")
        assert await allowed(shop, "sms", purpose="service")


async def test_a_start_keeps_the_end_of_what_was_granted() -> None:
    async with open_shop() as shop:
        await shop.know()
        end = "2026-12-01T00:00:00Z"
        basis = {"basis": "implied", "expires_at": end}
        await shop.consent("granted", messageId="until", **basis)
        await shop.write("STOP")
        await shop.write("START")
        said = (await shop.profile()).consents["marketing/sms"]
        assert (said.source, said.basis.value) == ("start_word", "implied")
        assert said.expires_at is not None
        shop.clock.jump_to(said.expires_at)
        assert not await allowed(shop, "sms")


async def test_a_copy_of_an_old_stop_changes_nothing_after_a_start() -> None:
    async with open_shop() as shop:
        await shop.know()
        at = shop.clock.now()
        await shop.write("STOP", id="s-old", at=at)
        await shop.write("START")
        await shop.write("STOP", id="s-old", at=at)
        await shop.write("STOP", id="s-older", at=at)  # one that comes late, and is older
        assert await allowed(shop, "sms")


async def test_the_providers_own_word_counts_whatever_was_written() -> None:
    async with open_shop() as shop:
        await shop.know()
        await shop.write("leave me be", keyword="STOP")
        assert not await allowed(shop, "sms")
        await shop.write("help me", keyword="HELP")
        assert not await allowed(shop, "sms")
