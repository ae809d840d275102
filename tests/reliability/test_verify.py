"""`verify` follows everything back to the journal, and names what does not follow."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.rows import Commit, Entry
from adapters import verify
from adapters.sqlite.checksums import row_checksum
from adapters.sqlite.schema import FILE_NAME, query, reader_uri
from adapters.sqlite.scribe import Program, Scribe
from adapters.sqlite.store import SqliteStore
from adapters.verify import Report, Verifier
from engine.program.compile import canonical_bytes, compile_source
from tests.e2e.command_line import nextbeat
from tests.reliability.folders import NAMES, build, copy, until_told
from tests.shards import WORKSPACE, Shard, changed

NAME = NAMES[3]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    asyncio.run(build(folder))
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return copy(sound, tmp_path / "copy", (FILE_NAME, "head"))


def change(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        connection.create_function("row_checksum", -1, row_checksum)
        for sql in statements:
            connection.execute(sql)
        connection.commit()


def told(report: Report) -> list[tuple[str, str]]:
    return [(one.part, one.message) for one in report.found]


def test_a_sound_folder_is_decided_again_to_the_last_byte(folder: Path) -> None:
    report = Verifier(folder).run()
    assert report.ok
    assert report.decided_again == report.entries == report.last_seq
    assert report.customers == report.snapshots == len(NAMES)


ROUNDS = 40
ACT = (
    "INSERT INTO acts (at, who, act, subject, detail, checksum)"
    " VALUES (1, 'ops', 'exported', 'u1', '', row_checksum(1, 'ops', 'exported', 'u1', ''))"
)
SEAL = "checksum = row_checksum(customer, seq, body)"


@pytest.mark.parametrize(
    ("statements", "part", "words"),
    [
        (["UPDATE decisions SET reason = 'x' WHERE number = 3"], "decisions", "something else"),
        (["UPDATE decisions SET body = x'00' WHERE number = 3"], "decisions", "something else"),
        (["DELETE FROM decisions WHERE number = 3"], "decisions", "the row there is"),
        (["DELETE FROM decisions WHERE number > 3"], "decisions", "there is none"),
        (
            [
                (
                    "INSERT INTO decisions SELECT 9999, 'd_more', seq, customer, at, journey,"
                    " message, outcome, reason, channel, body FROM decisions WHERE number = 3"
                )
            ],
            "decisions",
            "no entry that gives this row",
        ),
        (["DELETE FROM outbox WHERE number = 2"], "outbox", "the row there is"),
        (["UPDATE outbox SET body = x'00' WHERE number = 2"], "outbox", "something else"),
        (["UPDATE outbox SET state = 'queued' WHERE number = 2"], "outbox", "not what was written"),
        ([f"DELETE FROM timers WHERE customer = '{NAME}'"], "timers", "it is not there"),
        (["UPDATE timers SET place = place + 1"], "timers", "nobody waits"),
        (["UPDATE timers SET at = at + 1"], "timers", "not for this instant"),
        ([f"DELETE FROM customers WHERE customer = '{NAME}'"], "snapshots", "goes to entry none"),
        ([f"UPDATE customers SET body = x'90' WHERE customer = '{NAME}'"], "snapshots", "checksum"),
        (
            [
                (
                    f"UPDATE customers SET body = (SELECT body FROM customers WHERE customer ="
                    f" '{NAMES[4]}') WHERE customer = '{NAME}'"
                ),
                f"UPDATE customers SET {SEAL}",
            ],
            "snapshots",
            "not what the journal up to its entry gives",
        ),
        (
            [
                f"UPDATE customers SET seq = seq - 1 WHERE customer = '{NAME}'",
                f"UPDATE customers SET {SEAL}",
            ],
            "snapshots",
            "",
        ),
        (
            [
                "INSERT INTO customers (customer, seq, body) VALUES ('nobody', 1, x'90')",
                f"UPDATE customers SET {SEAL}",
            ],
            "snapshots",
            "not one of this customer's",
        ),
        ([f"DELETE FROM members WHERE customer = '{NAME}'"], "members", "the table does not"),
        (["UPDATE members SET since = since + 1"], "members", "does not have this customer"),
        (["INSERT INTO members VALUES ('vip', 'u1', 1)"], "members", "does not have this"),
        (["DELETE FROM stays"], "stays", "the table does not"),
        (["UPDATE stays SET position = position + 1"], "stays", "does not have this customer at"),
        (["INSERT INTO stays VALUES ('u1', 1, 'later', 'v', 0, 1)"], "stays", "does not have this"),
        (["UPDATE crossings SET entered = 1"], "crossings", "not what was written"),
        (["UPDATE review SET cursor = 'x'"], "review", "not what was written"),
        (["UPDATE meta SET value = value + 1"], "meta", "not what was written"),
        (["DELETE FROM meta"], "meta", "no longer knows"),
        (["UPDATE identities SET customer = 'x'"], "identities", "not what was written"),
        (["UPDATE programs SET source = x'7b7d'"], "programs", "not what was written"),
        (["UPDATE quarantine SET payload = x'00'"], "quarantine", "not what was written"),
        ([ACT, "UPDATE acts SET who = 'me'"], "acts", "not what was written"),
        ([ACT, "DELETE FROM acts"], "acts", "0 acts are there, and 1 were noted"),
        (["UPDATE catalogue SET id = 'q1' WHERE id = 'p1'"], "catalogue", "not what was written"),
        (["UPDATE sqlite_sequence SET seq = 1"], "quarantine", "number that is taken"),
        (["DROP INDEX decisions_by_time"], "file", "not as this program makes it"),
        (["UPDATE journal SET at = at + 1 WHERE seq = 30"], "journal", "hash does not fit"),
        (["DELETE FROM journal WHERE seq > 90"], "journal", "not there as it was"),
    ],
)
def test_what_does_not_follow_from_the_journal_is_named(
    folder: Path, statements: list[str], part: str, words: str
) -> None:
    change(folder, *statements)
    report = Verifier(folder).run()
    assert not report.ok
    assert part in {one.part for one in report.found}
    assert any(words in one.message for one in report.found if one.part == part), told(report)
    assert all(one.hint and (one.seq is not None or one.row) for one in report.found)


def rewrite(folder: Path, to: Path, seq: int, **parts: Any) -> Path:
    """Write a journal anew with one entry changed, each hash as it then has to be."""
    with closing(sqlite3.connect(reader_uri(folder), uri=True)) as connection:
        rows = connection.execute(query("tail"), (0, 10_000)).fetchall()
        programs = connection.execute(query("programs")).fetchall()
    to.mkdir()
    scribe = Scribe(to)
    scribe.write([Program(*row) for row in programs])
    entries = [Entry(*row) for row in rows]
    entries[seq - 1] = entries[seq - 1]._replace(**parts)
    scribe.write([Commit(entries=entries)])
    scribe.close()
    return to


def test_an_entry_that_would_be_decided_otherwise_is_named(folder: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        (seq,) = connection.execute("SELECT seq FROM decisions WHERE number = 4").fetchone()
    none = msgspec.msgpack.encode([])
    forged = rewrite(folder, tmp_path / "forged", seq, records=none)
    report = Verifier(forged).run()
    first = next(one for one in report.found if one.part == "decide again")
    assert first.seq == seq
    assert "it has 0 records and would have" in first.message
    undecided = Verifier(forged).run(decide=False)
    assert "decide again" not in {one.part for one in undecided.found}
    assert undecided.decided_again == 0


def test_an_entry_that_skips_one_before_is_named(folder: Path, tmp_path: Path) -> None:
    report = Verifier(rewrite(folder, tmp_path / "forged", 40, prev=0)).run()
    first = next(one for one in report.found if one.part == "journal")
    assert first.seq == 40
    assert "entry before is none" in first.message


def test_what_can_not_be_decided_again_is_noted_and_not_taken_for_damage(folder: Path) -> None:
    change(
        folder,
        "UPDATE programs SET source = NULL",
        "UPDATE programs SET checksum = row_checksum(id, version, at, source)",
    )
    report = Verifier(folder).run()
    assert report.ok
    assert report.not_decided_again == report.entries
    assert "its text was not kept" in report.notes[0]


async def test_journeys_of_an_earlier_workspace_are_decided_again_by_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = SqliteStore(folder)
    shard = await Shard(store).start()
    runtime = shard.runtime
    await store.save_program(runtime.program.version, 1, canonical_bytes(WORKSPACE))
    await shard.submit(shard.known("ana"), shard.track("ana", "Wait"), shard.track("ana", "Later"))
    steps = [
        {"wait": "9m"},
        {"send": "offer", "id": "z"},
        {"wait": "1d"},
        {"send": "paper", "id": "s"},
    ]
    later = {"trigger": {"event": "Wait"}, "steps": steps}
    source = changed(WORKSPACE, journeys={"wait": later})
    second = compile_source(source)
    await store.save_program(second.version, 2, canonical_bytes(source))
    archive = {one.version: one for one in runtime.program.journeys.values()}
    runtime.use(second.with_archive(archive))
    await shard.advance(6 * 60_000)
    await until_told(shard, "ana paper send sent email")
    await shard.submit(shard.known("ben"), shard.track("ben", "Wait"))
    await shard.advance(10 * 60_000)
    await until_told(shard, "ben offer send sent email")
    await runtime.stop()
    report = Verifier(folder).run()
    assert report.found == []
    assert report.decided_again == report.entries


@pytest.fixture
def cramped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little memory, and every journal a long one."""
    monkeypatch.setattr(verify, "MEMORY_BYTES_MAX", 100_000)
    monkeypatch.setattr(verify, "ALONE_ROWS", 0)
    monkeypatch.setattr(verify, "RANGE_ROWS", 20)


@pytest.mark.slow
def test_in_parts_and_in_several_processes_it_sees_the_same(folder: Path, cramped: None) -> None:
    alone = Verifier(folder, processes=1).run()
    steps: list[tuple[int, int]] = []
    together = Verifier(folder, lambda done, all_: steps.append((done, all_)), processes=2).run()
    assert together == alone
    assert together.ok
    assert together.decided_again == together.entries
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    change(folder, f"DELETE FROM timers WHERE customer = '{NAME}'")
    assert [one.part for one in Verifier(folder, processes=2).run().found] == ["timers"]


@pytest.mark.slow
async def test_beside_a_running_server_it_neither_disturbs_nor_is_mistaken(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = SqliteStore(folder)
    shard = await Shard(store, snapshot_after_ms=1).start()
    await store.save_program(shard.runtime.program.version, 1, canonical_bytes(WORKSPACE))
    for name in NAMES:
        await shard.submit(shard.known(name))
    for _ in range(3):
        checking = asyncio.create_task(asyncio.to_thread(Verifier(folder).run))
        for _ in range(ROUNDS):  # a bound: what checks must not run after one that is faster
            shard.clock.jump_to(shard.clock.now() + 60_000)
            events = ("Buy", "Wait", "Later")
            await shard.runtime.submit([shard.track(n, e) for n in NAMES for e in events])
        report = await checking
        assert report.found == []
        assert report.decided_again >= report.entries
    await shard.runtime.stop()


@pytest.mark.slow
def test_the_command_says_what_is_wrong_and_exits_accordingly(folder: Path, tmp_path: Path) -> None:
    fine = nextbeat("verify", "--data", folder)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert "is sound" in fine.stdout
    assert "entries decided again, byte for byte" in fine.stdout
    change(folder, "UPDATE journal SET at = at + 1 WHERE seq = 30")
    damaged = nextbeat("verify", "--data", folder, "--no-decide")
    assert damaged.returncode == 1
    assert "journal, entry 30: the entry is not what was written" in damaged.stdout
    assert "restore the data directory from a backup" in damaged.stdout
    as_json = json.loads(nextbeat("verify", "--data", folder, "--json").stdout)
    assert not as_json["ok"]
    assert as_json["found"][0]["seq"] == 30
    (tmp_path / "empty").mkdir()
    nothing = nextbeat("verify", "--data", tmp_path / "empty")
    assert nothing.returncode == 2
    assert "holds no Nextbeat store" in nothing.stderr
