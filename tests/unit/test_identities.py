"""Which identities a call carries, what they are worth, and whom they make one."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors.directory import decode_entry
from engine.events import Event, EventKind, Key, Refused
from engine.identities import keys_of
from engine.program.compile import compile_source
from tests.shards import ORIGIN_AT, WORKSPACE, GatedStore, Shard

AT = ORIGIN_AT
RULES: dict[str, Any] = {
    "rules": [{"same": "email"}, {"same": ["first_name", "last_name", "phone"]}],
    "namespaces": {
        "loyalty_card": {"unique": True},
        "passport": {"hash": True, "limit": 1},
        "push_token": {"limit": 2},
    },
    "worthless": ["till@*"],
}


def identify(user: str | None, anonymous: str | None = None, **traits: Any) -> Event:
    return Event(
        f"{user}{anonymous}{traits}",
        EventKind.IDENTIFY,
        "Identified",
        user,
        anonymous,
        AT,
        AT,
        traits=traits,
    )


def keys(event: Event, **section: Any) -> tuple[Key, ...]:
    program = compile_source({**WORKSPACE, "identity": {**RULES, **section}})
    return keys_of(event, program.identity)


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    program = compile_source({**WORKSPACE, "identity": RULES})
    shard = await Shard(GatedStore(), program=program).start()
    yield shard
    await shard.runtime.stop()


async def submit(shard: Shard, *events: Event) -> None:
    for event in events:
        await shard.submit(event)


async def becomes(shard: Shard, name: str) -> str:
    return (await shard.profile(name)).merged_into


# What a call carries.


@pytest.mark.parametrize(
    ("stated", "key"),
    [
        ({"email": "  Ada@Example.COM "}, ("email", "ada@example.com")),
        ({"loyalty_card": 4711}, ("loyalty_card", "4711")),
        ({"loyalty_id": "a 1"}, ("loyalty_card", "a 1")),
        ({"push_token": "t-1"}, ("push_token", "t-1")),
    ],
)
def test_values_are_compared_as_they_are_normalised(stated: dict[str, Any], key: Key) -> None:
    assert keys(identify("u1", **stated)) == (key,)


def test_a_value_may_be_kept_as_a_hash_only() -> None:
    ((namespace, value),) = keys(identify("u1", passport="X 123"))
    assert namespace == "passport"
    assert len(value) == 64
    assert "123" not in value[:3]


async def test_of_a_hashed_value_nothing_else_is_kept(shard: Shard) -> None:
    for number in range(2):
        event = identify("u1", passport="X 123", number=number)
        await shard.submit(msgspec.structs.replace(event, id=f"e{number}"))
    profile = await shard.profile("u1")
    ((value, _),) = profile.identities["passport"].items()
    assert profile.traits["passport"] == value
    entries = await shard.runtime.timeline("u1", None, 9)
    assert not [entry for entry in entries if b"X 123" in entry.input]


def test_a_phone_number_is_one_however_it_is_written() -> None:
    section: dict[str, Any] = {"namespaces": {"phone": {}}}
    written = ["+44 20 7946 0018", "020 7946 0018", "+44-20-7946-0018"]
    assert {keys(identify("u1", phone=one), **section) for one in written} == {
        (("phone", "+442079460018"),)
    }


@pytest.mark.parametrize(
    "value",
    [
        "noemail@shop.example",
        "NoEmail@x.y",
        "till@shop.example",
        "undefined",
        "no at",
        "",
        None,
        7.5,
    ],
)
def test_what_is_worthless_is_no_identity(value: object) -> None:
    assert keys(identify("u1", email=value)) == ()


def test_several_traits_together_are_an_identity_only_when_all_are_there() -> None:
    told = {"first_name": "Ada", "last_name": " LOVELACE", "phone": "+447700900123"}
    ((namespace, value),) = keys(identify("u1", **told))
    again = {"first_name": "ADA", "last_name": "Lovelace ", "phone": "+44-7700-900123"}
    assert keys(identify("u2", **again)) == ((namespace, value),)
    del again["phone"]
    assert keys(identify("u2", **again)) == ()


def test_nothing_but_ids_counts_where_the_workspace_is_silent() -> None:
    program = compile_source(WORKSPACE)
    event = identify("u1", "a1", email="a@b.example", phone="+447700900123")
    assert keys_of(event, program.identity) == (("anonymous_id", "a1"),)


def test_traits_of_a_group_are_nobodys() -> None:
    event = msgspec.structs.replace(identify("u1", email="a@b.example"), kind=EventKind.GROUP)
    assert keys(event) == ()


# Whom it makes one.


async def test_a_visitor_with_the_e_mail_of_a_customer_is_that_customer(shard: Shard) -> None:
    await submit(shard, identify("u1", email="a@b.example"), shard.anonymous("a1"))
    await submit(shard, identify(None, "a1", email="A@b.example"), shard.anonymous("a1"))
    assert await becomes(shard, "anon:a1") == "u1"
    assert (await shard.profile("u1")).history["Seen"].count == 2
    assert await shard.runtime.resolve("email", "a@b.example") == "u1"


async def test_a_customer_with_the_e_mail_of_a_visitor_takes_the_visitor_in(shard: Shard) -> None:
    await submit(shard, identify(None, "a1", email="a@b.example"), shard.anonymous("a1"))
    await submit(shard, identify("u1", email="a@b.example"))
    assert await becomes(shard, "anon:a1") == "u1"
    assert (await shard.profile("u1")).history["Seen"].count == 1


async def test_visitors_with_one_e_mail_are_one(shard: Shard) -> None:
    await submit(shard, *(identify(None, f"a{n}", email="a@b.example") for n in range(4)))
    assert [await becomes(shard, f"anon:a{n}") for n in range(4)] == ["", *["anon:a0"] * 3]
    await submit(shard, identify("u1", email="a@b.example"), shard.anonymous("a3"))
    assert (await shard.profile("u1")).history["Seen"].count == 1
    assert len((await shard.profile("u1")).identities["anonymous_id"]) == 4


async def test_two_known_customers_are_not_made_one_by_a_rule(shard: Shard) -> None:
    """A family's address makes nobody one; it is said once, and all else goes on."""
    await submit(shard, identify("u1", email="a@b.example"))
    await submit(
        shard, identify("u2", email="a@b.example"), identify("u2", email="a@b.example", n=1)
    )
    assert await becomes(shard, "u2") == ""
    entries = [decode_entry(one)[0] for one in await shard.runtime.timeline("u1", None, 9)]
    refused = [given for given in entries if isinstance(given, Refused)]
    assert [given.customer for given in refused] == ["u2"]
    assert "2 user ids, 1 are allowed" in refused[0].because
    assert shard.runtime.counters.merges_refused == 1
    again = await shard.crash()
    await submit(again, identify("u2", email="a@b.example", n=2))
    entries = [decode_entry(one)[0] for one in await again.runtime.timeline("u1", None, 9)]
    assert sum(isinstance(given, Refused) for given in entries) == 1
    await again.runtime.stop()


async def test_a_workspace_may_allow_several_user_ids(shard: Shard) -> None:
    shard.runtime.use(compile_source({**WORKSPACE, "identity": {**RULES, "user_ids": 2}}))
    await submit(shard, *(identify(f"u{n}", email="a@b.example") for n in range(3)))
    assert [await becomes(shard, f"u{n}") for n in range(3)] == ["", "u0", ""]


async def test_one_address_does_not_swallow_everybody(shard: Shard) -> None:
    shard.runtime.use(compile_source({**WORKSPACE, "identity": {**RULES, "merges": 3}}))
    await submit(shard, *(identify(None, f"a{n}", email="hall@b.example") for n in range(9)))
    assert len((await shard.profile("anon:a0")).absorbed) == 3
    assert shard.runtime.counters.merges_refused == 5


async def test_more_values_than_a_person_has_hold_up_a_merge(shard: Shard) -> None:
    await submit(shard, identify("u1", email="a@b.example", passport="1"))
    await submit(shard, identify(None, "a1", passport="2"))
    await submit(shard, identify(None, "a1", email="a@b.example"))
    assert await becomes(shard, "anon:a1") == ""
    assert shard.runtime.counters.merges_refused == 1


async def test_more_values_than_a_device_has_hold_up_nothing(shard: Shard) -> None:
    await submit(shard, *(identify("u1", push_token=f"t{n}", n=n) for n in range(4)))
    assert [*(await shard.profile("u1")).identities["push_token"]] == ["t2", "t3"]
    assert await shard.runtime.resolve("push_token", "t0") == ""
    await submit(shard, identify("u2", push_token="t0"))
    assert await shard.runtime.resolve("push_token", "t0") == "u2"


async def test_a_unique_value_is_whose_it_was_last(shard: Shard) -> None:
    await submit(shard, identify("u1", loyalty_card="1"), identify("u2", loyalty_card="1"))
    assert await shard.runtime.resolve("loyalty_card", "1") == "u2"
    assert "loyalty_card" not in (await shard.profile("u1")).identities
    assert await becomes(shard, "u1") == ""


async def test_a_value_that_is_not_unique_is_whose_it_was_first(shard: Shard) -> None:
    await submit(shard, identify("u1", push_token="t"), identify("u2", push_token="t"))
    assert await shard.runtime.resolve("push_token", "t") == "u1"


async def test_two_rules_and_an_anonymous_id_make_one_of_four(shard: Shard) -> None:
    name = {"first_name": "Ada", "last_name": "L", "phone": "+447700900123"}
    await submit(shard, identify(None, "a1", email="a@b.example"), identify(None, "a2", **name))
    await submit(shard, shard.anonymous("a3"))
    await submit(shard, identify("u1", "a3", email="a@b.example", **name))
    assert [await becomes(shard, f"anon:a{n}") for n in (1, 2, 3)] == ["u1"] * 3
    profile = await shard.profile("u1")
    assert profile.history["Seen"].count == 1
    assert profile.history["Identified"].count == 3


async def test_identities_are_known_after_a_restart(shard: Shard) -> None:
    await submit(shard, identify("u1", email="a@b.example"))
    again = await shard.crash()
    await submit(again, identify(None, "a1", email="a@b.example"))
    assert await becomes(again, "anon:a1") == "u1"
    await again.runtime.stop()
