"""What providers tell by themselves: who is believed, what is taken, whose it is."""

from collections.abc import Sequence

import msgspec
from aiohttp import ClientSession

from actors.memory import MemoryStore
from actors.rows import Commit, OutboxChange, OutboxRow, QuarantineRow
from adapters.channels.reception import Reception
from adapters.gateway import hooks
from adapters.gateway.app import serve
from engine.events import Failure
from tests.e2e.gateway_host import OPEN, KeepingRuntime, Served, not_stored, overloaded
from tests.e2e.reception_host import (
    OTHER_PHONE,
    PHONE,
    PROVIDER,
    PlainHook,
    Shop,
    fetch_nothing,
    open_shop,
    proof,
    taken,
)
from tests.shards import GatedStore


async def quarantined(shop: Shop) -> list[QuarantineRow]:
    return await shop.store.quarantine(None, 10)


async def an_offer(shop: Shop) -> str:
    """Have u1 be sent an offer by text, known to the provider as P1; gives its id."""
    await shop.know()
    await shop.call("track", event="Buy")
    [send] = await shop.sent(shop.sms)
    await shop.name(send, "P1")
    return send.message_id


async def test_a_message_is_found_by_our_id_and_by_the_providers() -> None:
    async with open_shop() as shop:
        message_id = await an_offer(shop)
        await shop.tell("delivered", provider_id="P1")
        await shop.tell("clicked", message_id=message_id)
        assert await shop.engagement("sms/delivered") == 1
        assert await shop.engagement("sms/clicked") == 1
        assert (await shop.profile()).sends[message_id].statuses[1:] == ["delivered", "clicked"]
        assert await quarantined(shop) == []


async def test_what_is_told_twice_happened_once() -> None:
    async with open_shop() as shop:
        await an_offer(shop)
        told = {"notices": [{"id": "n1", "status": "delivered", "provider_id": "P1"}]}
        for _ in range(3):
            taken(await shop.post(told))
        assert await shop.engagement("sms/delivered") == 1
        assert shop.runtime.counters.duplicates == 2


async def test_a_failure_for_good_goes_to_the_next_channel_with_what_it_asks_for() -> None:
    async with open_shop() as shop:
        await shop.know()
        await shop.consent("granted", channel="whatsapp")
        await shop.call("track", event="Buy")
        [send] = await shop.sent(shop.sms)
        failure = Failure.ADDRESS_DEAD
        await shop.tell(
            "failed", message_id=send.message_id, code="30005", permanent=True, failure=failure
        )
        assert [send.channel for send in await shop.sent(shop.whatsapp)] == ["whatsapp"]
        entries = await shop.runtime.timeline("u1", None, 9)
        [told] = [entry.input for entry in entries if b"30005" in entry.input]
        assert b"address_dead" in told


async def test_a_forged_request_is_refused_counted_and_has_no_effect() -> None:
    async with open_shop() as shop:
        message_id = await an_offer(shop)
        told = {"notices": [{"id": "n1", "status": "complained", "message_id": message_id}]}
        (await shop.post(told, signature="0" * 64)).refused(403, "forged")
        assert await shop.engagement("sms/complained") == 0
        assert await quarantined(shop) == []
        metrics = (await shop.served.send("/metrics", method="GET")).body.decode()
        assert 'code="forged"} 1.0' in metrics


async def test_what_is_genuine_and_not_understood_is_kept_and_not_asked_for_again() -> None:
    async with open_shop() as shop:
        taken(await shop.post(b"no json"))
        taken(await shop.post({"breaks": []}))
        rows = await quarantined(shop)
        assert [row.code for row in rows] == ["unreadable", "unreadable_json"]
        assert {row.source for row in rows} == {"receipts/log"}
        assert msgspec.json.decode(rows[1].payload) == "no json"
        path = f"/v1/quarantine/{rows[0].number}/replay"
        (await shop.served.send(path)).refused(400, "nothing_to_replay")


async def test_what_is_of_no_message_from_here_is_kept_as_unmatched() -> None:
    async with open_shop(looks_s=()) as shop:
        await shop.tell("delivered", provider_id="P-of-others")
        await shop.tell("delivered", message_id="m_of-others")
        await shop.write("hello", "+27820000000")
        assert [row.code for row in await quarantined(shop)] == ["unmatched"] * 3


class SlowStore(GatedStore):
    """A store that knows what the provider calls a message only at the second look."""

    looks = 0

    async def messages_by_provider(
        self, provider: str, provider_ids: Sequence[str]
    ) -> dict[str, OutboxRow]:
        found = await super().messages_by_provider(provider, provider_ids)
        self.looks += 1
        if self.looks == 1:
            [row] = self.outbox().values()
            change = OutboxChange(
                row.message_id, "sent", 1, "", provider=provider, provider_id="P1"
            )
            await self.commit(Commit(outbox_changes=[change]))
        return found


async def test_a_provider_may_be_faster_than_our_own_note() -> None:
    store = SlowStore()
    async with open_shop(store=store, looks_s=(0.0, 0.0)) as shop:
        await shop.know()
        await shop.call("track", event="Buy")
        await shop.sent(shop.sms)
        await shop.tell("delivered", provider_id="P1")
        assert store.looks == 2
        assert await shop.engagement("sms/delivered") == 1
        assert await quarantined(shop) == []


async def test_what_is_told_of_somebody_who_was_merged_reaches_who_they_became() -> None:
    async with open_shop() as shop:
        await shop.served.send(
            "/v1/identify", {"type": "identify", "anonymousId": "a1", "traits": {"phone": PHONE}}
        )
        await shop.consent("granted", userId=None, anonymousId="a1")
        await shop.served.send(
            "/v1/track", {"type": "track", "event": "Buy", "anonymousId": "a1", "messageId": "b"}
        )
        [send] = await shop.sent(shop.sms)
        assert send.customer == "anon:a1"
        await shop.call("identify", "u1", anonymousId="a1")
        await shop.name(send, "P1")
        await shop.tell("delivered", provider_id="P1")
        await shop.write("hello", answers="P1")
        assert await shop.engagement("sms/delivered") == 1
        assert await shop.engagement("sms/replied") == 1
        assert (await shop.profile()).history["Message Received"].count == 1


async def test_a_reply_is_an_event_and_answers_the_latest_message_of_the_channel() -> None:
    async with open_shop() as shop:
        await shop.know()
        await shop.call("track", event="Pay")
        await shop.call("track", event="Chat")
        [hello] = await shop.sent(shop.whatsapp)
        await shop.write("Who is this?")
        profile = await shop.profile()
        assert profile.history["Wrote"].count == 1  # as the channel calls it
        assert profile.sends[hello.message_id].statuses == ["accepted", "replied"]
        assert profile.history["Answered"].count == 1  # the journey that waited for it went on
        [paper] = await shop.sent(shop.sms)
        await shop.name(paper, "P1")
        await shop.write("And this?", answers="P1")
        profile = await shop.profile()
        assert profile.sends[paper.message_id].statuses == ["accepted", "replied"]
        assert profile.history["Message Received"].count == 1


async def test_somebody_is_found_by_what_was_sent_where_addresses_are_no_identity() -> None:
    async with open_shop(identity={}) as shop:
        await shop.know()
        await shop.write("hello")
        assert [row.code for row in await quarantined(shop)] == ["unmatched"]
        await shop.call("track", event="Pay")
        await shop.sent(shop.sms)
        await shop.write("hello again")
        assert (await shop.profile()).history["Message Received"].count == 1


async def test_nobody_is_taken_for_somebody_else() -> None:
    async with open_shop() as shop:
        await shop.know("u1", PHONE)
        await shop.know("u2", OTHER_PHONE)
        await shop.write("STOP", OTHER_PHONE)
        assert "*/sms" not in (await shop.profile("u1")).consents
        assert "*/sms" in (await shop.profile("u2")).consents


async def test_addresses_of_providers_that_are_not_there_say_what_would_be() -> None:
    async with open_shop() as shop:
        unknown = (await shop.post({}, path="nobody")).refused(404, "not_found")
        assert "log, other" in unknown.said["message"]
        missing = (await shop.post({}, path="other")).refused(404, "not_configured")
        assert "OTHER_KEY and OTHER_URL" in missing.said["message"]
        greeting = await shop.served.send("/v1/receipts/log?challenge=42", method="GET")
        assert (greeting.status, greeting.body) == (200, b"42")
        put = await shop.served.send("/v1/receipts/log", method="PUT")
        assert put.status == 405


async def test_a_header_that_is_there_twice_fits_no_proof() -> None:
    async with open_shop() as shop:
        request = (
            b"POST /v1/receipts/log HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
            b"Connection: close\r\nX-Proof: " + proof(b"{}").encode() + b"\r\n"
        )
        assert b" 200 OK" in await shop.served.speak(request + b"\r\n{}")
        twice = request + b"X-Proof: 0\r\n\r\n{}"
        assert b" 403 Forbidden" in await shop.served.speak(twice)


async def test_a_provider_is_told_to_come_again_where_nothing_could_be_stored() -> None:
    runtime = KeepingRuntime()
    runtime.store = MemoryStore()
    reception = Reception({PROVIDER: PlainHook()}, {}, fetch=fetch_nothing)
    gateway = await serve(runtime, OPEN, [lambda host: hooks.routes(host, reception)])
    async with ClientSession(auto_decompress=False) as session:
        served = Served(gateway, session)
        for trouble, code in ((overloaded(), "overloaded"), (not_stored(), "not_stored")):
            runtime.troubles.append(trouble)
            headers = {"X-Proof": proof(b"no json")}
            path = f"/v1/receipts/{PROVIDER}"
            answer = await served.send(path, b"no json", headers=headers)
            answer.refused(503, code)
            assert int(answer.headers["Retry-After"]) > 0
    await gateway.stop()


async def test_a_body_beyond_the_limit_is_refused() -> None:
    async with open_shop() as shop:
        taken(await shop.post(b"{" + b" " * 900_000 + b"}"))
        head = b"POST /v1/receipts/log HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n"
        said = await shop.served.speak(head + b"Connection: close\r\n\r\n")
        assert b" 400 " in said
        assert b'"too_large"' in said
