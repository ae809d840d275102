"""What a store does for erasures: entries that are blanked, and names that are looked for."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from actors.ports import Store
from actors.rows import Commit, Entry, Erased, SnapshotRow
from engine.events import (
    Abridged,
    Departed,
    Event,
    EventKind,
    Input,
    Linked,
    Merged,
    Refused,
    Restored,
    Tick,
    Unlinked,
)
from engine.profile import Profile
from tests.contract.test_store_contract import KINDS, entry, make_store, tail_of


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = make_store(request.param, tmp_path / "data")
    await store.open()
    yield store
    await store.close()


async def test_a_walk_passes_over_entries_that_were_blanked(store: Store) -> None:
    entries = [entry(seq, prev=seq - 1) for seq in range(1, 8)]
    await store.commit(Commit(entries=entries))
    await store.commit(Commit(erased=Erased(blanked=[3, 4, 6])))
    assert [found.seq for found in await store.entries(7, 10)] == [7, 5, 2, 1]
    assert [found.seq for found in await store.entries(7, 3)] == [7, 5, 2]
    assert [found.seq for found in await store.entries(4, 1)] == [2]
    assert [found.seq for found in await tail_of(store)] == [1, 2, 5, 7]
    await store.commit(Commit(erased=Erased(entries=[5])))
    assert [found.seq for found in await store.entries(7, 10)] == [7]


def told(seq: int, customer: str, given: Input) -> Entry:
    return Entry(seq, customer, 0, seq, "p", msgspec.msgpack.encode(given), b"\x90")


async def test_names_are_found_in_entries_about_who_is_who(store: Store) -> None:
    given: list[Input] = [
        Unlinked((("anonymous_id", "a1"),), "zoë", 1),
        Merged("u9", 1, msgspec.msgpack.encode(Profile("u9", apart=["zoë"])), (), "", 1),
        Departed("zoë", "", 1),
        Refused(("email", "e"), "zoë", "", 1),
        Restored(b"", "zoë", 1),
        Abridged(msgspec.msgpack.encode(Profile("u9", refused=["email/zoë"])), 1),
        Linked((("anonymous_id", "zoë"),), (), 1),
    ]
    other: list[Input] = [Refused(("email", "e"), "u7", "", 1), Tick(1, 1)]
    event = Event("e1", EventKind.TRACK, "zoë", "zoë", None, 1, 1)
    entries = [told(seq, f"u{seq}", one) for seq, one in enumerate([*given, *other, event], 1)]
    await store.commit(Commit(entries=entries))
    found = await store.mentioning(["nobody", "zoë"], 0)
    assert found.customers == {f"u{seq}": seq for seq in range(1, len(given) + 1)}
    assert found.reached == len(entries)
    assert (await store.mentioning(["zoë"], 6)).customers == {"u7": 7}
    assert await store.mentioning(["zoë"], found.reached) == ({}, 0)


async def test_names_are_found_in_snapshots(store: Store) -> None:
    bodies = {"u1": b"..zo\xc3\xab.", "u2": b"..", "u3": b"zo\xc3\xab"}
    await store.commit(Commit(snapshots=[SnapshotRow(who, 1, bodies[who]) for who in bodies]))
    assert await store.remembering(["zoë"], "") == (["u1", "u3"], "u3")
    assert await store.remembering(["zoë"], "u1") == (["u3"], "u3")
    assert await store.remembering(["zoë"], "u3") == ([], "")


async def test_one_link_is_erased_if_it_is_still_as_it_was(store: Store) -> None:
    await store.commit(Commit(links=[("email", "a", "u1"), ("email", "b", "")]))
    gone = [("email", "a", "u2"), ("email", "b", "")]
    await store.commit(Commit(erased=Erased(links=gone)))
    keys = [("email", "a"), ("email", "b")]
    assert await store.resolve(keys) == {("email", "a"): "u1"}
