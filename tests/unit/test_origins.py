"""Where a session came from, by what the event that begins it says."""

from typing import Any

import pytest

from engine.events import Event, EventKind
from engine.origins import Origin, find_origin

SHOP = "https://www.shop.example/shoes"


def origin(
    context: dict[str, Any], kind: EventKind = EventKind.TRACK, **properties: Any
) -> Origin | None:
    return find_origin(
        Event("m1", kind, "x", "u1", None, 7, 9, properties=properties, context=context)
    )


def channel(referrer: str = "", url: str = SHOP) -> tuple[str, str]:
    found = origin({"page": {"url": url, "referrer": referrer}})
    assert found is not None
    assert (found.at, found.platform, found.medium, found.campaign) == (7, "web", "", "")
    return found.channel, found.source


@pytest.mark.parametrize(
    ("referrer", "expected"),
    [
        ("", ("direct", "")),
        ("https://www.google.co.za/", ("search", "google")),
        ("https://duckduckgo.com", ("search", "duckduckgo")),
        ("https://l.facebook.com/l.php?u=x", ("social", "facebook")),
        ("https://t.co/abc", ("social", "twitter")),
        ("https://mail.google.com/mail/u/0", ("email", "google")),
        ("https://webmail.partner.example/", ("email", "webmail.partner.example")),
        ("android-app://com.google.android.gm/", ("email", "google")),
        ("https://www.partner.example/list", ("referral", "partner.example")),
        ("https://googles.example/", ("referral", "googles.example")),
        ("https://shop.example/cart", ("direct", "")),
        ("https://help.shop.example/", ("direct", "")),
        ("https://[broken", ("direct", "")),
        ("not an address", ("direct", "")),
    ],
)
def test_a_referrer_tells_the_channel_and_the_source(
    referrer: str, expected: tuple[str, str]
) -> None:
    assert channel(referrer) == expected


@pytest.mark.parametrize(
    ("campaign", "expected"),
    [
        ({"source": "news", "medium": "E-Mail"}, "email"),
        ({"source": "google", "medium": "cpc"}, "paid_search"),
        ({"source": "Facebook", "medium": "cpc"}, "paid_social"),
        ({"source": "x", "medium": "paid_social"}, "paid_social"),
        ({"source": "newsletter"}, "email"),
        ({"source": "shop", "medium": "SMS"}, "sms"),
        ({"medium": "social-media"}, "social"),
        ({"source": "radio", "medium": "jingle"}, "campaign"),
        ({"name": "Spring"}, "campaign"),
    ],
)
def test_a_campaign_tells_the_channel_by_its_medium(
    campaign: dict[str, str], expected: str
) -> None:
    found = origin({"campaign": campaign, "page": {"url": SHOP, "referrer": "https://bing.com"}})
    assert found == Origin(
        7,
        expected,
        campaign.get("source", ""),
        campaign.get("medium", ""),
        campaign.get("name", ""),
        "web",
    )


def test_an_address_tells_of_a_campaign_what_the_sender_did_not() -> None:
    url = f"{SHOP}?UTM_source=a%20b&utm_medium=email&utm_campaign=May&utm_source=c#x"
    assert origin({"page": {"url": url}}) == Origin(7, "email", "a b", "email", "May", "web")
    said = {"page": {"search": "?utm_source=a&utm_medium=email"}, "campaign": {"source": "z"}}
    assert origin(said) == Origin(7, "email", "z", "email", "", "web")


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("gclid", ("paid_search", "google")),
        ("msclkid", ("paid_search", "bing")),
        ("fbclid", ("social", "facebook")),
    ],
)
def test_an_advertisers_mark_tells_where_it_was_clicked(
    parameter: str, expected: tuple[str, str]
) -> None:
    assert channel("https://www.google.com", f"{SHOP}?{parameter}=x") == expected


def test_a_page_call_tells_by_its_properties_and_a_screen_is_of_an_app() -> None:
    found = origin({}, EventKind.PAGE, url=SHOP, referrer="https://bing.com")
    assert found == Origin(7, "search", "bing", platform="web")
    assert origin({}, EventKind.SCREEN) == Origin(7, "direct", platform="app")
    assert origin({"app": {"name": "shop"}}) == Origin(7, "direct", platform="app")


@pytest.mark.parametrize(
    "context",
    [{}, {"ip": "1.1.1.1", "userAgent": "curl"}, {"page": "home"}, {"campaign": ["x"], "page": {}}],
)
def test_a_call_from_a_server_tells_nothing(context: dict[str, Any]) -> None:
    assert origin(context) is None


@pytest.mark.parametrize(
    "page",
    [
        {"url": 5, "referrer": ["x"], "search": None},
        {"url": "?" + "&".join(f"a{n}=1" for n in range(500))},
        {"url": f"{SHOP}?utm_source=%ff%fe&utm_medium={'x' * 5_000}"},
        {"referrer": "https://" + "a" * 10_000},
    ],
)
def test_whatever_is_sent_nothing_raises_and_what_is_kept_is_short(page: dict[str, Any]) -> None:
    found = origin({"page": page})
    assert found is not None
    assert all(len(text) <= 200 for text in (found.source, found.medium, found.campaign))
