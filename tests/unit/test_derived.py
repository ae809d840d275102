"""Traits that follow from what is known: conditions and templates read them; stated ones win."""

from typing import Any

import pytest

from engine.choice.content import find_content, render
from engine.events import Event, EventKind
from engine.instants import DAY_MS, HOUR_MS, parse_instant
from engine.merge import absorb
from engine.place import find_place
from engine.profile import History, Profile
from engine.program.compile import compile_source
from engine.program.program import Program, Segment
from engine.program.scope import Scope
from engine.step import step
from engine.traits.derived import DERIVED, read_locale
from engine.traits.lookup import computed

NOW = parse_instant("2026-03-02T10:00:00Z")
NOWHERE = compile_source({"workspace": "w"})
SHOP: dict[str, Any] = {
    "workspace": "shop",
    "defaults": {"timezone": "Africa/Johannesburg", "country": "ZA", "locale": "af_ZA"},
    "channels": {"email": {"adapter": "log", "identity": "email"}},
    "message_types": {"note": {"purpose": "service", "channels": ["email"]}},
    "messages": {
        "hello": {
            "type": "note",
            "content": {
                "email": {
                    "subject": "{{ profile.lifecycle }} {{ profile.language }}",
                    "body": "{% if profile.country == 'FR' %}Bonjour{% else %}Hi{% endif %}"
                    " {{ profile.first_source.source | default: 'you' }}",
                }
            },
        },
        "plain": {"type": "note", "content": {"email": {"subject": "{{ profile.name }}"}}},
    },
    "segments": {"sleeping": 'profile.lifecycle in ["at_risk", "lapsed"]'},
}
PROGRAM = compile_source(SHOP)


def value(name: str, profile: Profile, program: Program = PROGRAM) -> Any:
    return computed(name, Scope(profile, NOW, book=program))


def person(**traits: Any) -> Profile:
    return Profile("u1", traits=traits)


def buyer(*, first: int, last: int) -> Profile:
    """Make a customer whose first and last orders were so many days ago."""
    orders = History(count=2, first_at=NOW - first * DAY_MS, last_at=NOW - last * DAY_MS)
    return Profile("u1", history={"Order Completed": orders})


@pytest.mark.parametrize(
    ("traits", "country", "timezone"),
    [
        ({}, "ZA", "Africa/Johannesburg"),
        ({"phone": "+33 6 12 34 56 78"}, "FR", "Europe/Paris"),
        ({"address": {"country": "India"}, "phone": "+33612345678"}, "IN", "Europe/Paris"),
        ({"address": {"country": "US", "state": "CA"}}, "US", "America/Los_Angeles"),
    ],
)
def test_country_and_zone_are_those_that_contact_rules_go_by(
    traits: dict[str, Any], country: str, timezone: str
) -> None:
    profile = person(**traits)
    assert value("country", profile) == country == find_place(profile, PROGRAM).country
    assert value("timezone", profile) == timezone


def test_where_nothing_is_known_and_nothing_is_the_default_there_is_nothing() -> None:
    assert value("country", person(), NOWHERE) is ...
    assert value("locale", person(), NOWHERE) is ...
    assert value("language", person(), NOWHERE) is ...
    assert value("first_source", person()) is ...
    assert value("timezone", person(), NOWHERE) == "UTC"


@pytest.mark.parametrize(
    ("traits", "device", "locale", "language"),
    [
        ({}, "", "af-ZA", "af"),
        ({}, "fr_FR.UTF-8", "fr-FR", "fr"),
        ({}, "not a locale", "af-ZA", "af"),
        ({"language": "pt"}, "", "pt-ZA", "pt"),
        ({"language": "pt", "country": "BR"}, "", "pt-BR", "pt"),
        ({"language": "xh"}, "en-US", "en-US", "xh"),
        ({"locale": "zh_hant_TW"}, "en-US", "zh_hant_TW", "zh"),
    ],
)
def test_locale_and_language_come_from_the_device_what_was_stated_and_the_workspace(
    traits: dict[str, Any], device: str, locale: str, language: str
) -> None:
    profile = Profile("u1", traits=traits, context_locale=device)
    assert (value("locale", profile), value("language", profile)) == (locale, language)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("en", "en"),
        ("EN-za", "en-ZA"),
        ("zh-hans-CN", "zh-Hans-CN"),
        ("es-419", "es-419"),
        ("de_DE@euro", "de-DE"),
        ("english", ""),
        ("", ""),
        ("C", ""),
        (5, ""),
    ],
)
def test_a_locale_is_read_as_it_is_written(written: object, read: str) -> None:
    assert read_locale(written) == read


def test_a_stated_trait_is_never_written_over() -> None:
    for name in DERIVED:
        assert value(name, person(**{name: "mine"})) == "mine"
    profile = person(lifecycle="mine", phone="+33612345678")
    assert value("country", profile) == "FR"
    assert profile.traits == {"lifecycle": "mine", "phone": "+33612345678"}


@pytest.mark.parametrize(
    ("first", "last", "stage"),
    [
        (0, 0, "new"),
        (29, 29, "new"),
        (30, 1, "active"),
        (90, 59, "active"),
        (90, 60, "at_risk"),
        (300, 179, "at_risk"),
        (300, 180, "lapsed"),
    ],
)
def test_a_buyer_goes_from_new_to_active_at_risk_and_lapsed(
    first: int, last: int, stage: str
) -> None:
    assert value("lifecycle", buyer(first=first, last=last)) == stage


def test_who_has_not_bought_is_a_prospect_once_they_are_known() -> None:
    assert value("lifecycle", Profile("anon:a1")) == "anonymous"
    assert value("lifecycle", Profile("anon:a1", traits={"email": "a@b.co"})) == "prospect"
    assert value("lifecycle", Profile("u1")) == "prospect"


def test_the_workspace_sets_the_stages() -> None:
    stages = {"order": "Policy Bought", "new": "1d", "at_risk": "2d", "lapsed": "3d"}
    program = compile_source({"workspace": "w", "lifecycle": stages})
    assert value("lifecycle", buyer(first=9, last=9), program) == "prospect"
    bought = buyer(first=9, last=2)
    bought.history["Policy Bought"] = bought.history.pop("Order Completed")
    assert value("lifecycle", bought, program) == "at_risk"


@pytest.mark.parametrize(("first", "last"), [(0, 0), (10, 5), (90, 59), (300, 100), (300, 200)])
def test_the_instant_at_which_a_stage_ends_is_told_exactly(first: int, last: int) -> None:
    profile = buyer(first=first, last=last)
    look = Scope(profile, NOW, book=PROGRAM)
    stage = computed("lifecycle", look)
    ends_at = look.changes_at
    if stage == "lapsed":
        assert ends_at is None
        return
    assert ends_at is not None
    assert computed("lifecycle", Scope(profile, ends_at - 1, book=PROGRAM)) == stage
    assert computed("lifecycle", Scope(profile, ends_at, book=PROGRAM)) != stage


def scope(profile: Profile) -> Scope:
    return Scope(profile, NOW, book=PROGRAM)


def condition(source: str) -> Segment:
    shop = {**SHOP, "segments": {**SHOP["segments"], "it": source}}
    return compile_source(shop).membership.segments["it"]


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ('profile.country == "FR"', True),
        ('profile["timezone"] == "Europe/Paris"', True),
        ("has(profile.language)", True),
        ('"country" in profile', True),
        ("has(profile.first_source)", False),
        ("!profile.first_source", True),
        ('profile.lifecycle == "prospect" && profile.language == "af"', True),
        ('profile.unknown == "FR"', False),
        ('in_segment("sleeping")', False),
    ],
)
def test_conditions_read_what_is_derived(source: str, holds: bool) -> None:  # noqa: FBT001
    assert condition(source).flip(scope(person(phone="+33612345678")))[0] is holds


def test_a_scope_without_a_program_knows_what_is_stated() -> None:
    is_french = condition('profile.country == "FR"')
    assert is_french.flip(Scope(person(country="FR"), NOW))[0]
    assert not is_french.flip(Scope(person(), NOW))[0]


def rendered(message: str, profile: Profile) -> dict[str, str]:
    return render(
        profile,
        PROGRAM,
        find_content(profile, PROGRAM, PROGRAM.messages[message], "email"),
        event={},
        message_id="m_1",
        timezone="UTC",
        now=NOW,
    )


def test_templates_show_what_is_derived() -> None:
    profile = buyer(first=300, last=200)
    profile.traits["phone"] = "+33612345678"
    assert rendered("hello", profile) == {"subject": "lapsed af", "body": "Bonjour you"}


def test_a_template_that_shows_nothing_derived_asks_for_nothing() -> None:
    content = PROGRAM.messages["plain"].content["email"]
    assert [template.traits for template in content.values()] == [()]
    assert [
        template.traits for template in PROGRAM.messages["hello"].content["email"].values()
    ] == [
        ("country", "first_source"),
        ("lifecycle", "language"),
    ]


def visit(number: int, at: int, referrer: str, **context: Any) -> Event:
    page = {"url": "https://shop.example/", "referrer": referrer}
    return Event(
        f"m{number}",
        EventKind.PAGE,
        "Page Viewed",
        "u1",
        None,
        at,
        at,
        context={"page": page, **context},
    )


def test_a_session_leaves_where_it_came_from_and_the_first_one_stays() -> None:
    profile = Profile("u1")
    for number, (hours, referrer) in enumerate(
        [(0, "https://bing.com"), (0, "https://x.com"), (2, "https://x.com"), (3, "")]
    ):
        step(profile, visit(number, NOW + hours * HOUR_MS + number, referrer), PROGRAM, NOW)
    assert value("first_source", profile) == {
        "channel": "search",
        "source": "bing",
        "platform": "web",
        "at": "2026-03-02T10:00:00Z",
    }
    last = value("last_source", profile)
    assert (last["channel"], last["at"]) == ("direct", "2026-03-02T13:00:00.003Z")


def test_of_two_who_are_one_the_earliest_and_the_latest_source_stay() -> None:
    visitor, customer = Profile("anon:a1"), Profile("u1")
    step(visitor, visit(1, NOW, "https://bing.com", locale="fr-FR"), PROGRAM, NOW)
    later = NOW + 5 * HOUR_MS
    step(customer, visit(2, later, "https://x.com"), PROGRAM, later)
    absorb(customer, visitor, later)
    first, last = value("first_source", customer), value("last_source", customer)
    assert (first["source"], last["source"]) == ("bing", "twitter")
    assert value("locale", customer) == "fr-FR"


def test_a_call_from_a_server_leaves_the_source_as_it_was() -> None:
    profile = Profile("u1")
    step(profile, visit(1, NOW, "https://bing.com"), PROGRAM, NOW)
    later = NOW + 5 * HOUR_MS
    called = Event("m2", EventKind.TRACK, "Order Completed", "u1", None, later, later)
    step(profile, called, PROGRAM, later)
    assert profile.session_at == later
    assert value("last_source", profile)["source"] == "bing"


def test_the_device_tells_its_locale() -> None:
    profile = Profile("u1")
    step(profile, visit(1, NOW, "", locale="fr-FR"), PROGRAM, NOW)
    step(profile, visit(2, NOW, "", locale="x" * 5_000), PROGRAM, NOW)
    step(profile, visit(3, NOW, "", locale=["en"]), PROGRAM, NOW)
    assert value("locale", profile) == "fr-FR"
