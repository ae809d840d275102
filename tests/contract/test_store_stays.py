"""Stays in journeys, as every store keeps them: the suite of the store port goes on here."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.ports import Store
from actors.rows import Commit, Erased, StayCount, StayRow
from tests.contract.test_store_contract import KINDS, make_store


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = make_store(request.param, tmp_path / "data")
    await store.open()
    yield store
    await store.close()


def stay(customer: str, instance: int, position: int = 0, journey: str = "cart") -> StayRow:
    return StayRow(customer, instance, journey, "v1", position, 5)


def over(customer: str, instance: int) -> StayRow:
    return StayRow(customer, instance, "", "", 0, 0)


async def listed(store: Store, journey: str = "cart") -> list[StayRow]:
    return await store.stays(journey, ("", 0), 10)


async def test_a_new_store_has_everybodys_stays_for_there_is_nobody(store: Store) -> None:
    assert await store.stays_filled()
    assert await store.stay_counts() == []
    assert await store.journey_sizes() == {}


async def test_stays_are_counted_by_place_and_people_once_for_each(store: Store) -> None:
    rows = [stay("u1", 1, 2), stay("u1", 2, 2), stay("u2", 1, 2), stay("u2", 2, 0, "birthday")]
    await store.commit(Commit(stays=rows))
    assert await store.stay_counts() == [
        StayCount("birthday", "v1", 0, 1, 1),
        StayCount("cart", "v1", 2, 3, 2),
    ]
    assert await store.journey_sizes() == {"birthday": 1, "cart": 2}
    assert await store.stays("cart", ("", 0), 2) == rows[:2]
    assert await store.stays("cart", ("u1", 1), 10) == rows[1:3]
    assert await store.stays("nothing", ("", 0), 10) == []


async def test_of_a_stay_what_was_said_last_counts(store: Store) -> None:
    await store.commit(
        Commit(stays=[stay("u1", 1), stay("u1", 1, 3), stay("u1", 2), over("u1", 2)])
    )
    assert await listed(store) == [stay("u1", 1, 3)]
    await store.commit(Commit(stays=[over("u1", 1), stay("u1", 1, 4), stay("u2", 1)]))
    assert await listed(store) == [stay("u1", 1, 4), stay("u2", 1)]
    await store.commit(Commit(stays=[over("u1", 1), over("nobody", 7)]))
    assert await listed(store) == [stay("u2", 1)]


async def test_all_stays_of_a_customer_end_at_once_but_for_those_said_after_that(
    store: Store,
) -> None:
    await store.commit(Commit(stays=[stay("u1", 1), stay("u1", 2), stay("u2", 1)]))
    await store.commit(Commit(stays=[stay("u1", 3), over("u1", 0), stay("u1", 2, 9)]))
    assert await listed(store) == [stay("u1", 2, 9), stay("u2", 1)]


async def test_stays_of_who_is_erased_are_gone(store: Store) -> None:
    await store.commit(Commit(stays=[stay("u1", 1), stay("u2", 1)]))
    await store.commit(Commit(erased=Erased(customers=["u1"])))
    assert await listed(store) == [stay("u2", 1)]
