"""Braze's `/users/track`: what its objects become, and what it is told about them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.memory import MemoryStore
from engine.events import ChangeKind, ConsentStatus, Event, EventKind, TraitChange
from engine.instants import parse_instant
from engine.profile import Profile
from tests.e2e.gateway_host import KEY, LOCKED, NOW, Served, overloaded, running
from tests.e2e.test_ingest_runtime import whole

AT = "2026-11-22T10:11:12+01:00"
AT_MS = parse_instant("2026-11-22T09:11:12Z")


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as gateway:
        yield gateway


async def track(served: Served, **arrays: list[Any]) -> dict[str, Any]:
    answer = await served.send("/users/track", arrays)
    assert answer.status == 201, answer.body
    assert answer.said["message"] == "success"
    return answer.said


async def take(served: Served, array: str, **told: object) -> Event:
    """Send one object of u1 and give the event it became."""
    said = await track(served, **{array: [{"external_id": "u1", **told}]})
    assert said == {"message": "success", f"{array}_processed": 1}
    event = served.runtime.events[-1]
    assert (event.source, event.context.get("active")) == ("braze", False)
    return event


async def test_attributes_are_traits(served: Served) -> None:
    event = await take(
        served,
        "attributes",
        first_name="Jon",
        email="jon@example.com",
        time_zone="Africa/Johannesburg",
        app_id="a",
        old=None,
        sizes=["M", "L"],
        car={"make": "x", "inches": 3},
        push_tokens=[{"app_id": "a", "token": "t1"}, {"app_id": "a", "token": "t2"}],
    )
    assert (event.kind, event.user, event.at) == (EventKind.IDENTIFY, "u1", NOW)
    assert event.traits == {
        "first_name": "Jon",
        "email": "jon@example.com",
        "timezone": "Africa/Johannesburg",
        "old": None,
        "sizes": ["M", "L"],
        "car": {"make": "x", "inches": 3},
    }
    assert event.context["device"] == {"token": "t2"}
    assert not event.only_existing


async def test_an_event_has_its_name_time_and_properties(served: Served) -> None:
    event = await take(served, "events", name="rented_movie", time=AT, properties={"n": 1})
    assert (event.kind, event.name, event.at) == (EventKind.TRACK, "rented_movie", AT_MS)
    assert event.properties == {"n": 1}
    other = await take(served, "events", name="x", time="2026-11-22T10:11:12:000+0100")
    assert other.at == AT_MS


async def test_a_purchase_is_an_order_of_one_product(served: Served) -> None:
    event = await take(
        served,
        "purchases",
        product_id="backpack",
        currency="usd",
        price=12.12,
        quantity=6,
        time=AT,
        properties={"color": "red"},
    )
    assert (event.name, event.at) == ("Order Completed", AT_MS)
    assert event.properties == {
        "product_id": "backpack",
        "price": 12.12,
        "quantity": 6,
        "currency": "USD",
        "revenue": 72.72,
        "total": 72.72,
        "color": "red",
        "products": [{"product_id": "backpack", "price": 12.12, "quantity": 6}],
    }


@pytest.mark.parametrize(
    ("named", "user", "anonymous"),
    [
        ({"external_id": "u1", "email": "a@b.c"}, "u1", None),
        ({"email": "a@b.c", "phone": "+27821234567"}, "a@b.c", None),
        ({"phone": "+27821234567"}, "+27821234567", None),
        ({"braze_id": "b1"}, None, "b1"),
        ({"user_alias": {"alias_name": "d1", "alias_label": "device"}}, None, "device:d1"),
        (
            {"external_id": "u1", "user_alias": {"alias_name": "d1", "alias_label": "device"}},
            "u1",
            "device:d1",
        ),
        ({"push_token_import": True, "push_tokens": [{"token": "t"}]}, None, "push:t"),
    ],
)
async def test_who_is_meant_is_said_in_one_of_five_ways(
    served: Served, named: dict[str, Any], user: str | None, anonymous: str | None
) -> None:
    await track(served, attributes=[{**named, "plan": "pro"}])
    event = served.runtime.events[-1]
    assert (event.user, event.anonymous) == (user, anonymous)


@pytest.mark.parametrize(
    ("told", "only_existing"),
    [
        ({"external_id": "u1"}, False),
        ({"external_id": "u1", "_update_existing_only": True}, True),
        ({"user_alias": {"alias_name": "n", "alias_label": "l"}}, True),
        (
            {"user_alias": {"alias_name": "n", "alias_label": "l"}, "_update_existing_only": False},
            False,
        ),
    ],
)
async def test_some_objects_are_for_customers_who_are_there_already(
    served: Served, *, told: dict[str, Any], only_existing: bool
) -> None:
    await track(served, attributes=[told])
    assert served.runtime.events[-1].only_existing is only_existing


@pytest.mark.parametrize(
    ("told", "statements"),
    [
        ({"email_subscribe": "opted_in"}, [("marketing", "email", ConsentStatus.GRANTED)]),
        ({"email_subscribe": "unsubscribed"}, [("marketing", "email", ConsentStatus.WITHDRAWN)]),
        ({"email_subscribe": "subscribed"}, []),
        ({"push_subscribe": "unsubscribed"}, [("marketing", "push", ConsentStatus.WITHDRAWN)]),
        (
            {
                "subscription_groups": [
                    {"subscription_group_id": "news", "subscription_state": "subscribed"},
                    {"subscription_group_id": "tips", "subscription_state": "unsubscribed"},
                ]
            },
            [("news", "*", ConsentStatus.GRANTED), ("tips", "*", ConsentStatus.WITHDRAWN)],
        ),
    ],
)
async def test_subscriptions_are_statements_of_consent(
    served: Served, told: dict[str, Any], statements: list[object]
) -> None:
    event = await take(served, "attributes", **told)
    assert [(one.purpose, one.channel, one.status) for one in event.consents] == statements
    assert all((one.at, one.source) == (NOW, "braze") for one in event.consents)


async def test_changes_are_made_by_the_customer_and_not_by_the_gateway(served: Served) -> None:
    event = await take(
        served, "attributes", visits={"inc": 2}, sizes={"add": ["M"], "remove": ["S"]}
    )
    assert event.traits == {}
    assert event.changes == (
        TraitChange("visits", ChangeKind.INCREASE, 2),
        TraitChange("sizes", ChangeKind.REMOVE, ["S"]),
        TraitChange("sizes", ChangeKind.ADD, ["M"]),
    )


async def test_bad_objects_are_named_by_array_and_index_and_the_others_are_taken(
    served: Served,
) -> None:
    said = await track(
        served,
        attributes=[{"external_id": "u1", "a": 1}, {"a": 1}, "odd"],
        events=[
            {"external_id": "u1", "name": "x", "time": AT},
            {"external_id": "u1", "name": "x"},
            {"external_id": "u1", "name": "x", "time": "soon"},
            {"external_id": "u1", "time": AT},
            {"user_alias": {"alias_name": "n"}, "name": "x", "time": AT},
        ],
        purchases=[
            {"external_id": "u1", "product_id": "p", "currency": "USD", "time": AT},
            {"external_id": "u1", "product_id": "p", "currency": "USD", "price": 1, "time": AT},
        ],
    )
    assert said["attributes_processed"] == 1
    assert said["events_processed"] == 1
    assert said["purchases_processed"] == 1
    assert [(one["input_array"], one["index"]) for one in said["errors"]] == [
        ("attributes", 1),
        ("attributes", 2),
        ("events", 1),
        ("events", 2),
        ("events", 3),
        ("events", 4),
        ("purchases", 0),
    ]
    assert "'external_id'" in said["errors"][0]["type"]
    assert len(served.runtime.quarantined) == 7
    assert served.balanced()


@pytest.mark.parametrize(
    "told",
    [
        {"email_subscribe": "maybe"},
        {"subscription_groups": [{"subscription_group_id": "x"}]},
        {"visits": {"inc": "many"}},
        {"sizes": {"add": "M"}},
        {"cars": {"$add": [{"make": "x"}]}},
        {"_merge_objects": True, "car": {"make": "x"}},
        {"push_tokens": ["t"]},
    ],
)
async def test_what_is_not_understood_is_refused_and_not_guessed(
    served: Served, told: dict[str, Any]
) -> None:
    said = await track(served, attributes=[{"external_id": "u1", **told}])
    assert (said["attributes_processed"], len(said["errors"])) == (0, 1)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "no_data"),
        ({"attributes": []}, "no_data"),
        ({"attributes": {"external_id": "u1"}}, "invalid_type"),
        ({"events": [{"external_id": "u1"}] * 76}, "too_many_items"),
        (b"[]", "invalid_type"),
        (b"{", "unreadable_json"),
    ],
)
async def test_what_cannot_be_understood_at_all_is_400(
    served: Served, body: object, code: str
) -> None:
    (await served.send("/users/track", body)).refused(400, code)
    assert served.runtime.submissions == 0


async def test_seventy_five_of_each_are_taken(served: Served) -> None:
    named = [{"external_id": f"u{n}"} for n in range(75)]
    events = [one | {"name": "x", "time": AT} for one in named]
    bought = {"product_id": "p", "currency": "USD", "price": 1, "time": AT}
    said = await track(
        served, attributes=named, events=events, purchases=[one | bought for one in named]
    )
    counts = [said[f"{name}_processed"] for name in ("attributes", "events", "purchases")]
    assert counts == [75, 75, 75]


async def test_the_key_comes_as_a_bearer_token() -> None:
    async with running(LOCKED) as served:
        body = {"attributes": [{"external_id": "u1", "a": 1}]}
        for headers, status in (
            ({"Authorization": f"Bearer {KEY}"}, 201),
            ({"Authorization": "Bearer wrong"}, 401),
            ({}, 401),
        ):
            assert (await served.send("/users/track", body, headers=headers)).status == status


async def test_a_full_shard_says_when_to_come_back(served: Served) -> None:
    served.runtime.troubles.append(overloaded())
    answer = await served.send("/users/track", {"attributes": [{"external_id": "u1"}]})
    answer.refused(429, "overloaded")


async def test_the_same_request_twice_counts_once_and_the_same_object_twice_counts_twice(
    served: Served,
) -> None:
    bought = {"external_id": "u1", "product_id": "p", "currency": "USD", "price": 1, "time": AT}
    for _ in range(2):
        await track(served, purchases=[bought, bought])
    assert len(served.runtime.events) == 2


async def test_each_change_counts_even_where_it_looks_the_same(served: Served) -> None:
    visited = {"external_id": "u1", "visits": {"inc": 1}}
    await track(served, attributes=[visited, visited])
    served.runtime.still.at += 1
    await track(served, attributes=[visited])
    assert len(served.runtime.events) == 3


async def test_the_profile_changes_from_what_it_was() -> None:
    async with whole(MemoryStore()) as (served, runtime):

        async def profile(customer: str) -> Profile:
            found = (await runtime.directory.recall([customer]))[customer].profile
            assert found is not None
            return found

        unknown = {"external_id": "nobody", "plan": "pro", "_update_existing_only": True}
        first = {"external_id": "u1", "visits": {"inc": 1}, "sizes": ["S"], "plan": "free"}
        second = {
            "external_id": "u1",
            "_update_existing_only": True,
            "visits": {"inc": 4},
            "sizes": {"add": ["M"], "remove": ["S"]},
            "plan": None,
        }
        await track(served, attributes=[unknown, first])
        await track(served, attributes=[second])
        assert (await profile("u1")).traits == {"visits": 5, "sizes": ["M"]}
        assert (await profile("nobody")).traits == {}
        assert (await profile("nobody")).history == {}
