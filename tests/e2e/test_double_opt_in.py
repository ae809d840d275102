"""Double opt-in over real HTTP: from a grant to a link, and from the link to consent."""

import pytest

from adapters.signing import Signer
from engine.consents import find_statement, is_granted
from engine.events import ConsentStatus, LegalBasis
from engine.instants import DAY_MS, HOUR_MS
from engine.links import CONFIRMED
from tests.e2e.customer_pages import Shop, open_shop


async def status(shop: Shop) -> ConsentStatus | None:
    said = find_statement((await shop.profile()).consents, "marketing", "email")
    return said.status if said is not None else None


async def ask(shop: Shop) -> str:
    """Sign u1 up, and give the link of the message that asks."""
    await shop.call("identify", traits={"email": "zoe@example.com"})
    await shop.sign_up()
    return await shop.link("confirm_address", "c")


async def test_a_grant_is_no_consent_before_its_link_is_followed() -> None:
    async with open_shop() as shop:
        link = await ask(shop)
        await shop.call("track", event="News")
        assert await status(shop) is ConsentStatus.PENDING
        assert await shop.sent("news") == []
        answer = await shop.post(link)
        assert answer.status == 200
        assert "Your consent is confirmed" in answer.body.decode()
        await shop.call("track", event="News")
        assert len(await shop.sent("news")) == 1


async def test_opening_the_link_does_nothing_however_often() -> None:
    async with open_shop() as shop:
        link = await ask(shop)
        for _ in range(3):
            answer = await shop.get(link)
            assert answer.status == 200
            assert b'<form method="post">' in answer.body
        assert await status(shop) is ConsentStatus.PENDING


async def test_what_was_confirmed_says_how_and_keeps_its_basis() -> None:
    async with open_shop() as shop:
        await shop.call("identify", traits={"email": "zoe@example.com"})
        await shop.sign_up(basis="soft_opt_in", proof="order 17", source="checkout")
        link = await shop.link("confirm_address", "c")
        message = (await shop.sent("confirm_address"))[0].message_id
        await shop.post(link)
        said = find_statement((await shop.profile()).consents, "marketing", "email")
        assert said is not None
        assert (said.status, said.source) == (ConsentStatus.GRANTED, "double_opt_in")
        assert said.basis is LegalBasis.SOFT_OPT_IN
        assert said.proof.startswith(f"link of message {message}, followed 20")


async def test_a_withdrawal_ends_what_is_pending_and_the_link_with_it() -> None:
    async with open_shop() as shop:
        link = await ask(shop)
        await shop.sign_up("withdrawn")
        answer = await shop.post(link)
        assert answer.status == 410
        assert await status(shop) is ConsentStatus.WITHDRAWN


async def test_a_link_works_until_its_end_and_not_at_it() -> None:
    async with open_shop() as shop:
        link = await ask(shop)
        shop.clock.jump_to((await shop.sent("confirm_address"))[0].decided_at + 7 * DAY_MS)
        assert (await shop.get(link)).status == 410
        assert (await shop.post(link)).status == 410
        assert await status(shop) is ConsentStatus.PENDING


async def test_a_link_confirms_nothing_once_the_address_is_another() -> None:
    async with open_shop() as shop:
        link = await ask(shop)
        await shop.call("identify", traits={"email": "mallory@example.com"})
        assert (await shop.post(link)).status == 410
        assert await status(shop) is ConsentStatus.PENDING


async def test_no_second_message_asks_within_the_gap() -> None:
    async with open_shop() as shop:
        await ask(shop)
        await shop.sign_up()
        await shop.sign_up("withdrawn")
        await shop.sign_up()
        assert len(await shop.sent("confirm_address")) == 1
        answer = await shop.get("/v1/customers/u1/decisions?reason=same_message")
        dropped = answer.said["decisions"][0]
        assert dropped["trace"][0]["rule"] == "double_opt_in.gap"
        shop.clock.jump_to(shop.clock.now() + DAY_MS)
        await shop.sign_up("withdrawn")
        await shop.sign_up()
        assert len(await shop.sent("confirm_address")) == 2


async def test_who_has_confirmed_is_not_asked_again() -> None:
    async with open_shop() as shop:
        await shop.post(await ask(shop))
        shop.clock.jump_to(shop.clock.now() + 2 * DAY_MS)
        await shop.sign_up()
        assert len(await shop.sent("confirm_address")) == 1
        assert await status(shop) is ConsentStatus.GRANTED


async def test_a_grant_for_everything_is_pending_only_where_it_is_asked() -> None:
    async with open_shop() as shop:
        await shop.call("identify", traits={"email": "zoe@example.com", "phone": "+27821234567"})
        await shop.sign_up(purpose="all", channel="all")
        consents, now = (await shop.profile()).consents, shop.clock.now()
        assert not is_granted(find_statement(consents, "marketing", "email"), now)
        assert is_granted(find_statement(consents, "marketing", "sms"), now)
        await shop.call("track", event="News")
        assert [send.channel for send in await shop.sent("news")] == ["sms"]


async def test_pending_consent_does_not_hold_back_service_messages() -> None:
    async with open_shop() as shop:
        await ask(shop)
        await shop.call("track", event="Ordered")
        assert len(await shop.sent("order")) == 1


async def test_clients_cannot_confirm_in_anothers_name() -> None:
    async with open_shop() as shop:
        await ask(shop)
        forged = {"channel": "email", "message": "m_1", "expires_at": shop.clock.now() + HOUR_MS}
        await shop.call("track", event=CONFIRMED, properties=forged)
        body = {"userId": "u1", "purpose": "marketing", "channel": "email", "status": "pending"}
        answer = await shop.served.send("/v1/consent", body)
        assert answer.faults() == [(0, "bad_consent", "status")]
        assert await status(shop) is ConsentStatus.PENDING


@pytest.mark.parametrize(
    "token", ["x", "", "%00", "a" * 3_000, "é" * 40, "..%2f..", "eyJhIjoxfQ", "-" * 24]
)
async def test_a_link_that_is_not_ours_is_refused_by_its_own_page(token: str) -> None:
    async with open_shop() as shop:
        for kind in ("c", "p", "v1/unsubscribe"):
            for method in ("GET", "POST"):
                answer = await shop.served.send(f"/{kind}/{token}", method=method)
                assert answer.status in (400, 404)


async def test_a_link_of_another_secret_or_another_kind_is_refused() -> None:
    async with open_shop() as shop:
        link = await ask(shop)
        token = link.rpartition("/")[2]
        assert (await shop.post(f"/p/{token}")).status == 404
        assert (await shop.post(f"/v1/unsubscribe/{token}")).status == 404
        other = Signer("another secret of many characters")
        assert (await shop.get(f"/p/{other.preferences_token('u1', 0)}")).status == 404
        flipped = token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]
        assert (await shop.post(f"/c/{flipped}")).status == 404
