"""A data folder with something of every kind in it, for tests that harm, copy and check folders."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from actors.rows import CatalogueRow, Commit, QuarantineRow
from adapters.sqlite.store import SqliteStore
from engine.program.compile import canonical_bytes, compile_source
from tests.shards import WORKSPACE, Shard, changed

SHOP = changed(WORKSPACE, segments={"reachable": 'profile.email != ""'})
NAMES = [f"customer-{number}" for number in range(12)]


async def build(folder: Path) -> None:
    """Have something of every kind in a store: rows that went leave space that is free."""
    store = SqliteStore(folder)
    shard = await Shard(store, program=compile_source(SHOP)).start()
    version = shard.runtime.program.version
    await store.save_program(version, 1, canonical_bytes(SHOP))
    for name in NAMES:
        await shard.submit(shard.known(name), shard.identify(name, anonymous=f"device of {name}"))
        await shard.submit(*(shard.track(name, event) for event in ("Buy", "Wait", "Later")))
    await shard.advance(400_000)
    await shard.submit(shard.consent(NAMES[1], "withdrawn"))
    items = [QuarantineRow(0, 1, "http", "code", "$", "no", b"?" * 3_000) for _ in range(12)]
    shelf = [CatalogueRow("products", f"p{number}", b"\x80" * 500) for number in range(12)]
    await store.commit(Commit(quarantined=items, catalogue=shelf))
    await store.commit(Commit(released=[2, 3, 4, 5, 6, 7, 8, 9, 10]))
    await shard.runtime.stop()


async def until_told(shard: Shard, words: str) -> None:
    """Let time pass until a decision was made: on a real disk it takes a while."""
    for _ in range(2_000):
        if words in shard.told():
            return
        await shard.advance(10)
    raise AssertionError(words)


def copy(folder: Path, to: Path, names: Iterable[str]) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    for name in names:
        if (folder / name).exists():
            shutil.copyfile(folder / name, to / name)
    return to
