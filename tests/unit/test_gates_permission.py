"""Consent, reach and suppression, asked directly; and decisions that were once made wrong."""

from typing import Any

import pytest

from engine.consents import statement_key
from engine.events import ConsentStatement, ConsentStatus
from engine.gates.consent import check_consent
from engine.gates.reach import address
from engine.place import find_place
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.reasons import Reason
from tests.stories import Story

_MAIL = {"subject": "s", "body": "b"}


def source(**changes: object) -> dict[str, Any]:
    return {
        "workspace": "permission",
        "defaults": {"timezone": "UTC", "country": "GB"},
        "channels": {
            "email": {"adapter": "log", "identity": "email"},
            "sms": {"adapter": "log", "identity": "phone"},
            "inbox": {"adapter": "inbox"},
        },
        "message_types": {"promo": {"purpose": "marketing", "channels": ["email", "sms"]}},
        "messages": {"a": {"type": "promo", "content": {"email": _MAIL, "sms": {"body": "b"}}}},
        "journeys": {"j": {"trigger": {"event": "A"}, "steps": [{"send": "a", "id": "s"}]}},
        **changes,
    }


def program(**changes: object) -> Program:
    return compile_source(source(**changes))


def told(*statements: tuple[str, str, str, int]) -> Profile:
    profile = Profile("u1")
    for purpose, channel, status, at in statements:
        said = ConsentStatement(purpose, channel, ConsentStatus(status), at, "test")
        profile.consents[f"{purpose}/{channel}"] = said
    return profile


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([], False),
        ([("marketing", "*", "granted", 1)], True),
        ([("marketing", "email", "granted", 1)], True),
        ([("marketing", "sms", "granted", 1)], False),
        ([("service", "*", "granted", 1)], False),
        ([("marketing", "*", "granted", 2), ("marketing", "email", "denied", 1)], True),
        ([("marketing", "*", "granted", 1), ("marketing", "email", "denied", 2)], False),
        ([("marketing", "email", "granted", 5), ("*", "*", "withdrawn", 6)], False),
        ([("marketing", "email", "granted", 5), ("*", "email", "withdrawn", 5)], False),
        ([("*", "*", "granted", 1)], True),
    ],
)
def test_the_latest_statement_counts_and_of_equals_the_stricter(
    statements: list[tuple[str, str, str, int]], *, allowed: bool
) -> None:
    block = check_consent(told(*statements), program(), "marketing", "email", "", 9)
    assert (block is None) is allowed


def test_service_needs_no_grant_but_obeys_a_withdrawal_of_the_channel() -> None:
    workspace = program()
    assert check_consent(told(), workspace, "service", "sms", "", 9) is None
    other = told(("marketing", "sms", "withdrawn", 1))
    assert check_consent(other, workspace, "service", "sms", "", 9) is None
    for purpose in ("service", "*"):
        silent = told((purpose, "sms", "withdrawn", 1))
        assert check_consent(silent, workspace, "service", "sms", "", 9) is not None
        assert check_consent(silent, workspace, "service", "email", "", 9) is None


@pytest.mark.parametrize(
    ("traits", "allowed"),
    [
        ({}, False),
        ({"country": "za"}, True),
        ({"address": {"country": "ZA"}}, True),
        ({"country": "GB", "address": {"country": "ZA"}}, False),
        ({"country": 27}, False),
        ({"country": ""}, False),
    ],
)
def test_opt_out_holds_where_the_customer_is(traits: dict[str, Any], *, allowed: bool) -> None:
    workspace = program(consent={"marketing": {"ZA": "opt_out"}})
    profile = Profile("u1", traits=traits)
    assert (check_consent(profile, workspace, "marketing", "email", "", 9) is None) is allowed
    assert find_place(profile, workspace).country in ("GB", "ZA")


@pytest.mark.parametrize(
    ("value", "found"),
    [("a@b", "a@b"), (" a@b ", "a@b"), ("", ""), (None, ""), (27, "27"), (True, ""), (["a"], "")],
)
def test_an_address_is_a_text_or_a_number(value: object, found: str) -> None:
    channel = program().channels["email"]
    assert address(Profile("u1", traits={"email": value}), channel) == found


def test_a_channel_without_an_identity_reaches_everybody_by_their_id() -> None:
    assert address(Profile("u1"), program().channels["inbox"]) == "u1"


# Whole decisions.


def story(**changes: object) -> Story:
    opted_out = source(**{"consent": {"marketing": "opt_out"}, **changes})
    return Story(opted_out).identify("07:00", email="a@example.com", phone="+447700900123")


def test_a_definitive_failure_counts_also_after_a_temporary_one() -> None:
    world = story().track("08:00", "A").receipt("08:01", "a", "failed")
    world.receipt("08:02", "a", "failed", permanent=True)
    assert world.told() == ["08:00 a send sent email", "08:02 a send sent sms"]


def test_a_definitive_failure_told_twice_is_one_failure() -> None:
    world = story(message_types={"promo": {"purpose": "marketing", "channels": ["email"]}})
    world.track("08:00", "A").receipt("08:01", "a", "failed", permanent=True)
    world.receipt("08:02", "a", "failed", permanent=True)
    assert world.told() == ["08:00 a send sent email", "08:01 a drop provider_failed email"]


def test_a_journey_started_by_another_is_not_entered_again_by_the_same_event() -> None:
    journeys = {
        "first": {"trigger": {"event": "A"}, "steps": [{"start": "second"}]},
        "second": {"trigger": {"event": "A"}, "steps": [{"wait": "1h"}, {"send": "a", "id": "s"}]},
    }
    world = story(journeys=journeys).track("08:00", "A").until("12:00")
    assert world.told() == ["09:00 a send sent email"]


def _shut(name: str) -> dict[str, Any]:
    return {"adapter": "log", "identity": name, "window": "20:00-21:00"}


def test_a_fallback_of_a_pinned_message_is_dropped_at_once_when_consent_is_withdrawn() -> None:
    channels = {
        "email": {"adapter": "log", "identity": "email"},
        "sms": _shut("phone"),
        "inbox": {"adapter": "inbox"},
    }
    steps = [{"send": "a", "channel": "email", "id": "s"}]
    world = story(channels=channels, journeys={"j": {"trigger": {"event": "A"}, "steps": steps}})
    world.track("08:00", "A").receipt("08:01", "a", "failed", permanent=True)
    world.consent("09:00", purpose="marketing", status="withdrawn").until("23:00")
    assert world.told() == [
        "08:00 a send sent email",
        "08:01 a defer outside_window sms -> 20:00",
        "09:00 a drop consent_withdrawn sms",
    ]


def test_a_withdrawal_ends_each_deferral_once_also_when_its_journey_ends_with_it() -> None:
    channels = {
        "email": {"adapter": "log", "identity": "email"},
        "sms": _shut("phone"),
        "inbox": {"adapter": "inbox"},
    }
    content = {"email": _MAIL, "sms": {"body": "b"}}
    steps = [
        {"send": "a", "channel": "email", "id": "one"},
        {"send": "b", "channel": "sms", "id": "two"},
    ]
    world = story(
        channels=channels,
        messages={name: {"type": "promo", "content": content} for name in ("a", "b")},
        journeys={"j": {"trigger": {"event": "A"}, "steps": steps}},
    )
    world.track("08:00", "A").receipt("08:01", "a", "failed", permanent=True)
    world.consent("09:00", purpose="marketing", status="withdrawn").until("23:00")
    endings = [line for line in world.told() if " drop " in line]
    assert sorted(line.split()[1] for line in endings) == ["a", "b"]


def granted(**changes: Any) -> Profile:
    said = ConsentStatement("marketing", "*", ConsentStatus.GRANTED, 1, "test", **changes)
    return Profile("u1", consents={statement_key(said): said})


def test_a_grant_is_consent_before_its_end_and_not_at_it() -> None:
    profile, workspace = granted(expires_at=100), program()
    assert check_consent(profile, workspace, "marketing", "email", "", 99) is None
    block = check_consent(profile, workspace, "marketing", "email", "", 100)
    assert block is not None
    assert block.reason is Reason.NO_CONSENT


def test_a_grant_that_ended_does_not_fall_back_on_opt_out() -> None:
    workspace = program(consent={"marketing": "opt_out"})
    assert check_consent(Profile("u1"), workspace, "marketing", "email", "", 100) is None
    ended = granted(expires_at=100)
    assert check_consent(ended, workspace, "marketing", "email", "", 100) is not None


@pytest.mark.parametrize("purpose", ["marketing", "*"])
def test_what_is_pending_is_no_consent_and_no_objection_to_service(purpose: str) -> None:
    profile, workspace = told((purpose, "email", "pending", 1)), program()
    assert check_consent(profile, workspace, "marketing", "email", "", 9) is not None
    assert check_consent(profile, workspace, "service", "email", "", 9) is None


@pytest.mark.parametrize(
    ("channel", "status", "asked", "allowed"),
    [
        ("*", "denied", "email", False),
        ("*", "withdrawn", "email", False),
        ("sms", "denied", "email", True),
        ("email", "denied", "email", False),
        ("*", "granted", "email", True),
    ],
)
def test_a_type_that_is_not_wanted_is_not_sent_whatever_its_purpose(
    channel: str, status: str, asked: str, *, allowed: bool
) -> None:
    profile = granted()
    said = ConsentStatement("*", channel, ConsentStatus(status), 2, message_type="promo")
    profile.consents[statement_key(said)] = said
    for purpose in ("marketing", "service"):
        block = check_consent(profile, program(), purpose, asked, "promo", 9)
        assert (block is None) is allowed
        if block is not None:
            assert (block.reason, block.rule) == (Reason.TYPE_OPT_OUT, "consent.types.promo")
        assert check_consent(profile, program(), purpose, asked, "other", 9) is None


def test_wanting_a_type_is_no_consent_to_its_purpose() -> None:
    said = ConsentStatement("*", "*", ConsentStatus.GRANTED, 2, message_type="promo")
    profile = Profile("u1", consents={statement_key(said): said})
    block = check_consent(profile, program(), "marketing", "email", "promo", 9)
    assert block is not None
    assert block.reason is Reason.NO_CONSENT
