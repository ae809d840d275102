"""The preference centre over real HTTP: what it shows, what it saves, and what it refuses."""

import re

import pytest

from engine.consents import find_statement, find_type_statement, is_granted
from engine.events import ConsentStatus
from engine.instants import DAY_MS, HOUR_MS
from tests.e2e.customer_pages import SIGNER, Shop, open_shop

TRAITS = {"email": "zoe.k@example.com", "phone": "+27821234567", "first_name": "Zoë"}
NEWS = "consent/marketing/sms"


async def enter(shop: Shop, **traits: object) -> str:
    """Make u1 known, and give the path of their page."""
    await shop.call("identify", traits={**TRAITS, **traits})
    return f"/p/{SIGNER.preferences_token('u1', shop.clock.now())}"


async def is_allowed(shop: Shop, channel: str) -> bool:
    consents = (await shop.profile()).consents
    return is_granted(find_statement(consents, "marketing", channel), shop.clock.now())


async def test_the_page_shows_what_holds_and_no_address() -> None:
    async with open_shop() as shop:
        path = await enter(shop)
        await shop.sign_up(channel="sms")
        answer = await shop.get(path)
        page = answer.body.decode()
        assert answer.status == 200
        assert "corner shop" in page
        assert "News &amp; offers" in page
        assert re.search(rf'name="{NEWS}" value="yes" checked', page)
        assert 'role="status"' not in page
        assert 'name="consent/marketing/email" value="yes">' in page
        assert "z•••@e•••.com" in page
        for secret in ("zoe.k", "example.com", "+2782", "821234", "Zoë"):
            assert secret not in page


async def test_the_page_has_no_script_and_nothing_from_elsewhere() -> None:
    async with open_shop() as shop:
        answer = await shop.get(await enter(shop))
        page, policy = answer.body.decode(), answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script|<link|<img|<iframe|https?://|\son\w+=|javascript:", page)
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"


async def test_every_field_has_a_label_and_the_page_a_language() -> None:
    async with open_shop() as shop:
        page = (await shop.get(await enter(shop))).body.decode()
        assert '<html lang="en">' in page
        assert page.count("<h1>") == 1
        outside = re.sub(r"<label>.*?</label>", "", page, flags=re.DOTALL)
        assert re.findall(r"<(?:input|select)(?![^>]*hidden)", outside) == []


async def test_saving_an_unchanged_page_states_nothing() -> None:
    async with open_shop() as shop:
        path = await enter(shop)
        await shop.sign_up(channel="sms")
        before = await shop.profile()
        assert (await shop.save(path)).status == 200
        after = await shop.profile()
        assert (after.consents, after.traits) == (before.consents, before.traits)


async def test_a_box_that_is_emptied_takes_consent_back_and_one_that_is_ticked_gives_it() -> None:
    async with open_shop() as shop:
        path = await enter(shop)
        await shop.save(path, **{NEWS: "yes"})
        assert await is_allowed(shop, "sms")
        said = find_statement((await shop.profile()).consents, "marketing", "sms")
        assert said is not None
        assert said.source == "preference_centre"
        assert said.proof.startswith("link ")
        await shop.save(path, **{NEWS: None})
        assert not await is_allowed(shop, "sms")


async def test_consent_given_on_the_page_is_confirmed_where_that_is_asked() -> None:
    async with open_shop() as shop:
        path = await enter(shop)
        answer = await shop.save(path, **{"consent/marketing/email": "yes"})
        assert "not confirmed yet" in answer.body.decode()
        assert len(await shop.sent("confirm_address")) == 1


async def test_a_type_that_is_not_wanted_is_dropped_and_others_go_on() -> None:
    async with open_shop() as shop:
        path = await enter(shop)
        await shop.sign_up(channel="sms")
        await shop.save(path, **{"type/newsletter": None, "channel/newsletter": "sms"})
        await shop.call("track", event="News")
        assert await shop.sent("news") == []
        answer = await shop.get("/v1/customers/u1/decisions?reason=type_opt_out")
        trace = answer.said["decisions"][0]["trace"]
        rules = [check["rule"] for check in trace if check["check"] == "message_type"]
        assert rules == ["consent.types.newsletter"]
        await shop.save(path, **{"type/newsletter": "yes"})
        await shop.call("track", event="News")
        assert len(await shop.sent("news")) == 1


async def test_wishes_are_saved_and_shown_again() -> None:
    async with open_shop() as shop:
        path = await enter(shop)
        wishes = {
            "frequency": "week",
            "quiet_from": "21:00",
            "quiet_to": "07:00",
            "silence": "2031-05-01",
            "channel/newsletter": "sms",
            "language": "fr",
        }
        page = (await shop.save(path, **wishes)).body.decode()
        traits = (await shop.profile()).traits
        assert traits["frequency_caps"] == {"marketing": "1 / 7d"}
        assert traits["quiet_hours"] == "21:00-07:00"
        assert traits["do_not_disturb"] == "2031-05-01"
        assert traits["channel_preferences"] == {"newsletter": "sms"}
        assert traits["locale"] == "fr"
        assert '<html lang="fr">' in page
        assert "Vos choix" in page
        assert 'value="21:00"' in page
        assert 'value="2031-05-01"' in page
        emptied = dict.fromkeys(("quiet_from", "quiet_to", "silence", "channel/newsletter"), "")
        await shop.save(path, **emptied, frequency="any")
        gone = (await shop.profile()).traits
        assert not {"frequency_caps", "quiet_hours", "do_not_disturb"} & gone.keys()


async def test_wishes_the_page_has_no_words_for_stay_as_they_are() -> None:
    async with open_shop() as shop:
        wishes = {"quiet_hours": {"sat": "00:00-24:00"}, "frequency_caps": "5 / 9d"}
        path = await enter(shop, **wishes, do_not_disturb="2031-05-01T10:00:00Z")
        await shop.save(path, **{NEWS: "yes"})
        traits = (await shop.profile()).traits
        assert {name: traits[name] for name in wishes} == wishes
        assert traits["do_not_disturb"] == "2031-05-01T10:00:00Z"


async def test_unsubscribing_from_everything_leaves_service_messages() -> None:
    async with open_shop() as shop:
        path = await enter(shop)
        await shop.sign_up(channel="sms")
        page = (await shop.get(path)).body.decode()
        mark = re.findall(r'name="form" value="([^"]+)"', page)[-1]
        answer = await shop.post(path, form=mark, everything="yes")
        assert "no more of these messages" in answer.body.decode()
        assert not await is_allowed(shop, "sms")
        await shop.call("track", event="Ordered")
        assert len(await shop.sent("order")) == 1


async def test_a_form_of_another_page_or_day_or_of_nobody_changes_nothing() -> None:
    async with open_shop() as shop:
        path = await enter(shop)
        now = shop.clock.now()
        other = SIGNER.preferences_token("u2", now)
        token = path.rpartition("/")[2]
        for mark in (
            "",
            "1-x",
            f"{now}-",
            f"{now}-é",
            "9" * 400 + "-x",
            "²-x",
            SIGNER.form_mark(other, now),
            SIGNER.form_mark(token, now - 13 * HOUR_MS),
            SIGNER.form_mark(token, now + DAY_MS),
        ):
            answer = await shop.post(path, form=mark, everything="yes")
            assert answer.status == 403, mark
        assert (await shop.profile()).consents == {}


async def test_an_old_link_can_say_no_and_not_yes() -> None:
    async with open_shop() as shop:
        path = await enter(shop)
        await shop.sign_up(channel="sms")
        shop.clock.jump_to(shop.clock.now() + 61 * DAY_MS)
        answer = await shop.get(path)
        assert "older message" in answer.body.decode()
        await shop.save(path, **{NEWS: None, "type/offers": None})
        assert not await is_allowed(shop, "sms")
        await shop.save(path, **{NEWS: "yes", "type/offers": "yes"})
        assert not await is_allowed(shop, "sms")
        unwanted = find_type_statement((await shop.profile()).consents, "offers", "sms")
        assert unwanted is not None
        assert unwanted.status is ConsentStatus.DENIED


@pytest.mark.parametrize(
    "fields",
    [
        {"quiet_from": "25:00", "quiet_to": "07:00"},
        {"quiet_from": "07:00"},
        {"silence": "soon"},
        {"channel/newsletter": "pigeon"},
        {"channel/newsletter": "<script>alert(1)</script>"},
    ],
)
async def test_a_choice_that_cannot_be_read_saves_nothing(fields: dict[str, str]) -> None:
    async with open_shop() as shop:
        path = await enter(shop)
        answer = await shop.save(path, **fields, **{NEWS: "yes"})
        assert answer.status == 400
        assert b"<script" not in answer.body
        assert not await is_allowed(shop, "sms")


@pytest.mark.parametrize("body", [b"\xff\xfe", b"&" * 10_000, b"a=1&" * 3_000, b"{}", b"form"])
async def test_a_body_that_is_no_form_is_refused(body: bytes) -> None:
    async with open_shop() as shop:
        path = await enter(shop)
        answer = await shop.served.send(path, body)
        assert answer.status in (400, 403)


async def test_a_page_of_nobody_is_a_page_all_the_same() -> None:
    async with open_shop() as shop:
        answer = await shop.get(f"/p/{SIGNER.preferences_token('nobody', 0)}")
        assert answer.status == 404
        assert b"<h1>" in answer.body
        assert b"<button" not in answer.body


async def test_hostile_names_are_shown_as_text() -> None:
    async with open_shop() as shop:
        path = await enter(shop, email='"><script>@evil.example', locale='"><b>')
        page = (await shop.get(path)).body.decode()
        assert "<script" not in page
        assert '<html lang="en">' in page


async def test_links_in_messages_lead_to_the_pages() -> None:
    async with open_shop() as shop:
        await enter(shop)
        await shop.sign_up(channel="sms")
        await shop.call("track", event="News")
        assert (await shop.get(await shop.link("news", "p"))).status == 200
        link = await shop.link("news", "v1/unsubscribe")
        asked = await shop.get(link)
        assert b"Unsubscribe" in asked.body
        assert await is_allowed(shop, "sms")
        assert (await shop.post(link, **{"List-Unsubscribe": "One-Click"})).status == 200
        assert not await is_allowed(shop, "sms")
