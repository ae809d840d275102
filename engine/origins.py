"""Where a session came from: a search, a post, an e-mail, a campaign, or straight to us.

Called by `decide` with the event that begins a session; the `Origin` goes into the record of that
session, and from there into the profile. Nothing here knows a customer.

Rules
- What a sender says of a campaign goes before the parameters of the page's address, and those
  before the page it was reached from.
- A medium is read as people write it (`e-mail`, `E_Mail`); one that is not known is a campaign all
  the same.
- A referrer of the same site is none. An event without a page, a campaign or an app comes from a
  server: where the customer came from it can't tell, and nothing is guessed.
- Everything is untrusted: what is malformed is passed over, and nothing raises.
"""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import msgspec

from engine.events import Event, EventKind

_TEXT_LENGTH_MAX = 200  # of what is kept
_URL_LENGTH_MAX = 4_096
_PARAMETERS_MAX = 50

APP, WEB = "app", "web"

_CHANNELS = {
    "email": ("email", "mail", "newsletter"),
    "sms": ("sms", "text", "textmessage"),
    "push": ("push", "webpush", "pushnotification", "notification"),
    "paid_search": ("cpc", "ppc", "sem", "paidsearch", "paid"),
    "paid_social": ("paidsocial", "socialpaid", "socialads"),
    "social": ("social", "sm", "socialmedia", "socialnetwork"),
    "search": ("organic", "organicsearch"),
    "display": ("display", "banner", "cpm", "interstitial"),
    "affiliate": ("affiliate", "affiliates"),
    "referral": ("referral",),
}
_MEDIA = {medium: channel for channel, media in _CHANNELS.items() for medium in media}

# What advertisers' systems append to an address, and the channel and the source it tells.
_CLICK_IDS = {
    "gclid": ("paid_search", "google"),
    "gbraid": ("paid_search", "google"),
    "wbraid": ("paid_search", "google"),
    "msclkid": ("paid_search", "bing"),
    "ttclid": ("paid_social", "tiktok"),
    "fbclid": ("social", "facebook"),  # it is appended to every link, paid for or not
}

# Words of host names, each the part before the public suffix: `google` of www.google.co.za.
_SITES = {
    "search": (
        "google", "bing", "duckduckgo", "yahoo", "yandex", "baidu", "ecosia", "qwant", "startpage",
        "brave", "naver", "seznam",
    ),
    "social": (
        "facebook", "instagram", "twitter", "linkedin", "pinterest", "reddit", "youtube", "tiktok",
        "vk", "threads", "bsky", "whatsapp", "telegram", "snapchat",
    ),
}  # fmt: skip
_SITE_CHANNELS = {word: channel for channel, words in _SITES.items() for word in words}
_HOSTS = {
    "t.co": ("social", "twitter"),
    "x.com": ("social", "twitter"),
    "lnkd.in": ("social", "linkedin"),
    "youtu.be": ("social", "youtube"),
    "wa.me": ("social", "whatsapp"),
    "t.me": ("social", "telegram"),
    "mail.google.com": ("email", "google"),
    "com.google.android.gm": ("email", "google"),
    "com.google.android.googlequicksearchbox": ("search", "google"),
}
_MAIL_LABELS = ("mail", "webmail", "outlook")
_CAMPAIGN = ("source", "medium", "name")
_PARAMETERS = {
    **{f"utm_{key}": key for key in _CAMPAIGN[:2]},
    "utm_campaign": "name",
    **{parameter: parameter for parameter in _CLICK_IDS},
}
_NO_FIELDS: Mapping[str, Any] = {}


class Origin(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """Where a session came from. Texts are "" where nothing is known. The earlier one is less."""

    at: int
    channel: str  # search, paid_search, social, paid_social, email, sms, push, display, …, direct
    source: str = ""  # google, newsletter, partner.example
    medium: str = ""  # as it was written
    campaign: str = ""
    platform: str = ""  # app or web


def find_origin(event: Event) -> Origin | None:
    """Tell where the session that an event begins came from; None where the event can't."""
    context = event.context
    page = _object(context.get("page"))
    if not page and event.kind is EventKind.PAGE:
        page = event.properties
    campaign = _object(context.get("campaign"))
    platform = _platform(event, page)
    if not (page or campaign or platform):
        return None
    said = _read_address(page)
    for key in _CAMPAIGN:
        told = _text(campaign, key)
        if told:
            said[key] = told
    source, medium = said.get("source", ""), said.get("medium", "")
    name = said.get("name", "")
    if source or medium or name:
        channel = _channel_of(medium, source)
        return Origin(event.at, channel, source, medium, name, platform)
    for parameter, (channel, site) in _CLICK_IDS.items():
        if parameter in said:
            return Origin(event.at, channel, site, platform=platform)
    channel, source = _read_referrer(page)
    return Origin(event.at, channel, source, platform=platform)


def _platform(event: Event, page: Mapping[str, Any]) -> str:
    if event.kind is EventKind.SCREEN or event.context.get("app"):
        return APP
    return WEB if page or event.kind is EventKind.PAGE else ""


def _read_address(page: Mapping[str, Any]) -> dict[str, str]:
    """Read what the address of the page says of a campaign."""
    query = _text(page, "search", _URL_LENGTH_MAX).removeprefix("?")
    if not query:
        query = _text(page, "url", _URL_LENGTH_MAX).partition("#")[0].partition("?")[2]
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, max_num_fields=_PARAMETERS_MAX)
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for parameter, value in pairs:
        key = _PARAMETERS.get(parameter.lower())
        if key is not None:
            found.setdefault(key, value[:_TEXT_LENGTH_MAX])
    return found


def _channel_of(medium: str, source: str) -> str:
    word = "".join(letter for letter in medium.lower() if letter.isalnum())
    channel = _MEDIA.get(word, "")
    site = _SITE_CHANNELS.get(source.lower().partition(".")[0], "")
    if channel == "paid_search" and site == "social":
        return "paid_social"
    return channel or (_MEDIA.get(source.lower(), "") if not medium else "") or "campaign"


def _read_referrer(page: Mapping[str, Any]) -> tuple[str, str]:
    """Tell the channel and the source by the page that led here."""
    host = _host(_text(page, "referrer", _URL_LENGTH_MAX))
    if not host or _is_same_site(host, _host(_text(page, "url", _URL_LENGTH_MAX))):
        return "direct", ""
    known = _HOSTS.get(host)
    if known is not None:
        return known
    labels = host.split(".")
    if labels[0] in _MAIL_LABELS:
        return "email", host
    for label in labels[:-1]:
        channel = _SITE_CHANNELS.get(label)
        if channel is not None:
            return channel, label
    return "referral", host


def _host(address: str) -> str:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return ""
    return host.removeprefix("www.")[:_TEXT_LENGTH_MAX]


def _is_same_site(host: str, own: str) -> bool:
    return bool(own) and (host == own or host.endswith(f".{own}") or own.endswith(f".{host}"))


def _text(fields: Mapping[str, Any], name: str, length_max: int = _TEXT_LENGTH_MAX) -> str:
    value = fields.get(name)
    return value[:length_max] if isinstance(value, str) else ""


def _object(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else _NO_FIELDS
