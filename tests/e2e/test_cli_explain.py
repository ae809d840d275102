"""`nextbeat explain` and `nextbeat quarantine`, over a data folder as a server leaves it."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from actors.replay import Replay
from actors.rows import Commit, DecisionRow, Entry, QuarantineRow
from adapters.cli.sentences import describe_reason, describe_rules
from adapters.gateway.views import Decision
from adapters.sqlite.store import SqliteStore
from engine.events import Event, EventKind
from engine.instants import HOUR_MS, parse_instant
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.reasons import Reason
from engine.records import Decided
from tests.e2e.command_line import nextbeat

EVENING = parse_instant("2026-03-02T18:30:00Z")
WORKSPACE = {
    "workspace": "shop",
    "defaults": {"timezone": "Africa/Johannesburg"},
    "consent": {"marketing": "opt_out"},
    "channels": {"email": {"adapter": "log", "identity": "email", "window": "09:00-20:00"}},
    "message_types": {"promotional": {"purpose": "marketing", "channels": ["email"]}},
    "messages": {
        "welcome": {"type": "promotional", "content": {"email": {"subject": "Hi", "body": "Hi"}}},
        "advice": {"type": "promotional", "content": {"email": {"subject": "Hi", "body": "Hi"}}},
    },
    "journeys": {
        "onboarding": {"trigger": {"event": "Signed Up"}, "steps": [{"send": "welcome"}]},
        "helping": {"trigger": {"event": "Asked"}, "steps": [{"send": "advice"}]},
    },
}


def event(number: int, name: str, at: int, user: str = "ana") -> Event:
    traits = {"email": "ana@example.com"} if user == "ana" else {}
    return Event(f"e{number}", EventKind.TRACK, name, user, None, at, at, traits=traits)


def decide(program: Program, events: Sequence[Event], until_at: int) -> list[tuple[str, Decided]]:
    return list(Replay(program).run(events, until_at))


def row(number: int, customer: str, decided: Decided) -> DecisionRow:
    return DecisionRow(
        decided.decision_id,
        number,
        customer,
        decided.at,
        decided.journey,
        decided.message,
        decided.outcome.value,
        decided.reason.value,
        decided.channel,
        msgspec.msgpack.encode(decided),
    )


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data folder in which two customers were decided about and one item was not understood."""
    folder = tmp_path / "data"
    events = [
        event(1, "Signed Up", EVENING),
        event(2, "Asked", EVENING + 1),
        event(3, "Signed Up", EVENING, "ben"),
    ]
    story = decide(compile_source(WORKSPACE), events, EVENING + 24 * HOUR_MS)
    store = SqliteStore(folder)
    await store.open()
    await store.commit(
        Commit(
            entries=[
                Entry(number, customer, 0, decided.at, decided.program, b"", b"")
                for number, (customer, decided) in enumerate(story, 1)
            ],
            decisions=[row(number, *told) for number, told in enumerate(story, 1)],
            links=[("anonymous_id", "a-1", "ana")],
            quarantined=[
                QuarantineRow(
                    0,
                    EVENING,
                    "segment",
                    "bad_timestamp",
                    "timestamp",
                    "is not an instant",
                    b'{"phone":"none","x":1}',
                )
            ],
        )
    )
    await store.close()
    return folder


def test_a_story_is_told_from_its_beginning_in_words(data: Path) -> None:
    done = nextbeat("explain", "ana", "--data", data, "--message", "welcome", "--limit", "9")
    assert (done.returncode, done.stderr) == (0, "")
    told = done.stdout
    waits = told.index("2026-03-02 18:30:00 UTC  welcome: waits until 2026-03-03 07:00:00 UTC")
    sent = told.index("2026-03-03 07:00:00 UTC  welcome: sent by email")
    assert waits < sent
    assert "Because it is outside the hours of the channel" in told
    assert "(outside_window)" in told
    assert "Rule: channels.email.window." in told
    assert "Asked for by journey onboarding" in told
    assert "moved by event e1." in told


def test_a_folder_of_a_newer_version_is_refused(data: Path) -> None:
    with closing(sqlite3.connect(data / "nextbeat.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    done = nextbeat("explain", "ana", "--data", data)
    assert done.returncode == 1
    assert "has format 99, this program knows up to" in done.stderr


def test_the_trace_stands_under_each_decision(data: Path) -> None:
    told = nextbeat("explain", "ana", "--data", data, "--outcome", "defer").stdout
    head = next(line for line in told.splitlines() if line.lstrip().startswith("channel"))
    assert head.split() == ["channel", "check", "result", "until", "rule", "seen"]
    assert "email    window  blocked" in told


def test_what_somebody_can_mend_is_said(data: Path) -> None:
    told = nextbeat("explain", "ben", "--data", data).stdout
    assert "welcome: not sent" in told
    assert "(unreachable). Something is missing here, and somebody can supply it." in told


def test_filters_and_limits_hold(data: Path) -> None:
    def found(*more: str) -> list[str]:
        done = nextbeat("explain", "ana", "--data", data, "--json", *more)
        return [f"{one['message']} {one['outcome']}" for one in json.loads(done.stdout)]

    everything = ["advice send", "welcome send", "advice defer", "welcome defer"]
    assert sorted(found()) == sorted(everything)
    assert sorted(found("--journey", "helping")) == ["advice defer", "advice send"]
    assert sorted(found("--reason", "outside_window")) == ["advice defer", "welcome defer"]
    assert found("--message", "welcome", "--limit", "1") == ["welcome send"]
    assert len(found("--since", "2026-03-03T00:00:00Z")) == 2
    assert len(found("--until", "2026-03-03T00:00:00Z")) == 2


def test_a_customer_is_found_by_an_anonymous_id(data: Path) -> None:
    by_id = nextbeat("explain", "ana", "--data", data).stdout
    assert nextbeat("explain", "a-1", "--data", data).stdout == by_id


def test_one_decision_is_explained_by_its_id(data: Path) -> None:
    listed = json.loads(nextbeat("explain", "ana", "--data", data, "--json").stdout)
    wanted = listed[0]["decision_id"]
    again = json.loads(nextbeat("explain", wanted, "--data", data, "--json").stdout)
    assert again == [listed[0]]


def test_somebody_of_whom_nothing_was_decided_is_said_to_be_so(data: Path) -> None:
    done = nextbeat("explain", "nobody", "--data", data)
    assert (done.returncode, done.stdout) == (0, "nothing was decided about nobody that fits\n")


def test_a_folder_without_a_store_is_said_in_words(tmp_path: Path) -> None:
    done = nextbeat("explain", "ana", "--data", tmp_path)
    assert done.returncode == 1
    assert "holds no Nextbeat store" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_data_folder_can_come_from_the_environment(data: Path) -> None:
    done = nextbeat("explain", "ben", NEXTBEAT_DATA=str(data))
    assert "welcome: not sent" in done.stdout


def test_the_quarantine_lists_what_was_expected(data: Path) -> None:
    done = nextbeat("quarantine", "list", "--data", data)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].split()[:1] == ["1"]
    assert "bad_timestamp  timestamp  is not an instant" in done.stdout
    listed = json.loads(nextbeat("quarantine", "list", "--data", data, "--json").stdout)
    assert [(one["number"], one["code"]) for one in listed] == [(1, "bad_timestamp")]


def test_a_quarantined_item_is_shown_as_it_was_sent(data: Path) -> None:
    done = nextbeat("quarantine", "show", "1", "--data", data, "--reveal")
    assert done.stdout.splitlines() == [
        "item 1, from segment, received 2026-03-02 18:30:00 UTC",
        "timestamp: is not an instant (bad_timestamp)",
        "",
        '{"phone":"none","x":1}',
    ]
    missing = nextbeat("quarantine", "show", "2", "--data", data)
    assert (missing.returncode, "there is no item 2" in missing.stderr) == (1, True)


def test_what_is_always_personal_is_hidden_in_a_folder_without_a_workspace(data: Path) -> None:
    done = nextbeat("quarantine", "show", "1", "--data", data)
    assert done.stdout.splitlines()[-1] == '{"phone":"[phone]","x":1}'


def a_decision(**changes: object) -> Decision:
    told: dict[str, object] = {
        "decision_id": "d_1",
        "at": "2026-03-02T18:30:00Z",
        "customer": "ana",
        "cause": {"event": "e1"},
        "journey": "j",
        "step": "s",
        "message": "m",
        "message_type": "t",
        "outcome": "defer",
        "reason": "outside_window",
        "reason_class": "healthy",
        "channel": "email",
        "next_eligible": "2026-03-03T07:00:00Z",
        "proposed_at": "2026-03-02T18:30:00Z",
        "expires_at": None,
        "program": "sha256:0",
        "trace": [],
    }
    return msgspec.convert({**told, **changes}, Decision)


def test_the_rule_that_decided_stands_before_those_of_the_way_out() -> None:
    def line(channel: str, until: str, rule: str, check: str = "window") -> dict[str, str]:
        return {
            "channel": channel,
            "check": check,
            "result": "blocked",
            "until": until,
            "rule": rule,
        }

    trace = [
        line("email", "2026-03-02T19:00:00Z", "policies.cooldown", "cooldown"),
        line("email", "2026-03-03T07:00:00Z", "channels.email.window"),
        line("sms", "2026-03-04T07:00:00Z", "channels.sms.window"),
    ]
    expected = "Rule: channels.email.window, policies.cooldown, channels.sms.window."
    assert describe_rules(a_decision(trace=trace)) == expected


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_told_in_words(reason: Reason) -> None:
    told = describe_reason(a_decision(reason=reason.value))
    assert told.startswith("Because ")
    assert told.endswith(f"({reason.value}).")
    assert "trace" not in told


def test_a_reason_of_a_newer_server_points_to_the_trace() -> None:
    assert describe_reason(a_decision(reason="moon")) == "Because of what the trace says (moon)."
