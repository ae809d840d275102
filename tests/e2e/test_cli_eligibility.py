"""`nextbeat explain --message`: whether a message may go, in words, from a data folder."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.cli.answers import describe_channel, describe_plan, describe_verdict, tell_time
from adapters.files.workspaces import read_workspace
from adapters.gateway.views import ChannelAnswer, Eligibility, Place, RuleBlock
from adapters.sqlite.store import SqliteStore
from engine.instants import HOUR_MS
from engine.program.compile import canonical_bytes, compile_source
from tests.e2e.command_line import nextbeat
from tests.shards import Shard

SNIPPETS = Path(__file__).resolve().parents[2] / "docs" / "snippets"
EVENING = "2026-03-02T19:30:00Z"  # 21:30 in Johannesburg
WORKSPACE: dict[str, Any] = {
    "workspace": "shop",
    "defaults": {"timezone": "Africa/Johannesburg", "country": "ZA"},
    "consent": {"marketing": "opt_out"},
    "channels": {
        "email": {"adapter": "log", "identity": "email", "window": "09:00-20:00"},
        "sms": {"adapter": "log", "identity": "phone"},
    },
    "message_types": {"promotional": {"purpose": "marketing", "channels": ["email", "sms"]}},
    "messages": {
        "cart_reminder": {
            "type": "promotional",
            "content": {"email": {"subject": "Hi", "body": "Hi"}, "sms": {"body": "Hi"}},
        }
    },
    "journeys": {"cart": {"trigger": {"event": "Added"}, "steps": [{"send": "cart_reminder"}]}},
}


async def lived(folder: Path, *workspaces: dict[str, Any]) -> Shard:
    """Run a shard by one workspace after the other; ana and a visitor come by under each."""
    store = SqliteStore(folder)
    shard = await Shard(store, program=compile_source(workspaces[0])).start()
    for number, workspace in enumerate(workspaces):
        program = compile_source(workspace)
        at = shard.clock.now()
        await store.save_program(program.version, at, canonical_bytes(workspace))
        shard.runtime.use(program)
        await shard.submit(
            shard.identify("ana", email="ana@example.com"),
            shard.track("ana", f"Came {number}"),
            shard.anonymous("visitor"),
        )
        shard.clock.jump_to(at + HOUR_MS)
    return shard


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Path]:
    """A folder on which a shard is running; most of it is in no snapshot."""
    shard = await lived(tmp_path / "data", WORKSPACE)
    yield tmp_path / "data"
    await shard.runtime.stop()


def explain(data: Path, *more: str, customer: str = "ana") -> str:
    done = nextbeat("explain", customer, "--data", data, "--message", "cart_reminder", *more)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_first_line_is_the_verdict(data: Path) -> None:
    told = explain(data, "--at", EVENING).splitlines()
    assert told[0] == (
        "cart_reminder may not go to ana at 2026-03-02 21:30: "
        "email is closed until 09:00 tomorrow (Africa/Johannesburg)"
    )
    assert told[1] == (
        "Where: Africa/Johannesburg, the workspace's default (low confidence); country ZA."
    )


def test_each_channel_is_told_with_its_rules_and_then_when_it_goes_and_what_helps(
    data: Path,
) -> None:
    told = explain(data, "--at", EVENING)
    version = compile_source(WORKSPACE).version[:15]
    moment = "09:00 tomorrow (Africa/Johannesburg; 2026-03-03 07:00:00 UTC)"
    assert f"email: free at {moment}\n" in told
    row = next(line for line in told.splitlines() if line.startswith("    outside_window"))
    assert row.split()[:5] == [
        "outside_window",
        "09:00",
        "tomorrow",
        "channels.email.window",
        version,
    ]
    assert "sms: not free, and nobody knows when\n" in told
    assert f"It will go at {moment}, by email, unless something changes until then.\n" in told
    changes = told.partition("What would change it:\n")[2].splitlines()
    assert "    email: hours in channels.email.window that are open now" in changes
    assert "    sms: an address of the customer's for channels.sms.identity" in changes
    assert "\x1b" not in told


def test_what_may_go_is_said_in_a_line(data: Path) -> None:
    told = explain(data, "--at", "2026-03-02T10:00:00Z").splitlines()
    assert told[0] == (
        "cart_reminder may go to ana at 2026-03-02 12:00, by email (Africa/Johannesburg)"
    )
    assert "email: free" in told


def test_as_json_it_is_what_the_server_answers(data: Path) -> None:
    answer = msgspec.json.decode(explain(data, "--at", EVENING, "--json"), type=Eligibility)
    assert (answer.outcome, answer.next_eligible) == ("defer", "2026-03-03T07:00:00Z")
    assert answer.known
    assert json.loads(explain(data, "--json"))["message"] == "cart_reminder"


def test_a_visitor_is_found_and_a_stranger_is_a_new_customer(data: Path) -> None:
    told = explain(data, customer="visitor")
    assert "cart_reminder may not go to anon:visitor now: there is no address of theirs" in told
    assert "Nothing is known" not in told
    assert "It will not go: it would be dropped (unreachable)." in told
    told = explain(data, customer="stranger")
    assert "Nothing is known of stranger: this is said of a new customer." in told


def test_a_name_nobody_knows_is_said_with_what_was_meant(data: Path) -> None:
    done = nextbeat("explain", "ana", "--data", data, "--message", "cart_remainder")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no message of this name; did you mean 'cart_reminder'?" in done.stderr


@pytest.mark.parametrize("more", [["--limit", "5", "--message", "m"], []])
def test_an_instant_goes_with_a_message_and_not_with_the_past(data: Path, more: list[str]) -> None:
    done = nextbeat("explain", "ana", "--data", data, "--at", EVENING, *more)
    assert done.returncode == 2
    assert "--at goes with --message" in done.stderr


async def test_the_workspace_is_the_one_that_was_in_force_last(tmp_path: Path) -> None:
    wider = {**WORKSPACE, "channels": {**WORKSPACE["channels"]}}
    wider["channels"]["email"] = {"adapter": "log", "identity": "email"}
    for number, story in enumerate(((WORKSPACE, wider), (WORKSPACE, wider, WORKSPACE))):
        folder = tmp_path / str(number)
        shard = await lived(folder, *story)
        await shard.runtime.stop()
        answer = json.loads(explain(folder, "--at", EVENING, "--json"))
        assert answer["program"] == compile_source(story[-1]).version
        assert answer["eligible"] is (number == 0)


async def test_a_folder_without_a_workspace_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    await store.close()
    done = nextbeat("explain", "ana", "--data", tmp_path, "--message", "cart_reminder")
    assert done.returncode == 1
    assert "no workspace was ever in force in this folder" in done.stderr


async def test_what_the_how_to_shows_is_what_is_said(tmp_path: Path) -> None:
    source = read_workspace(SNIPPETS / "shop").raw
    shard = await lived(tmp_path / "data", source)
    await shard.submit(shard.identify("ana", phone="+27821234567"))
    told = explain(tmp_path / "data", "--at", EVENING)
    await shard.runtime.stop()
    shown = (SNIPPETS / "may_it_go.txt").read_text(encoding="utf-8")
    version = compile_source(source).version[:15]
    assert told.replace(version, "sha256:5d41402a") == shown


# Words.


def an_answer(**changes: Any) -> Eligibility:
    place = Place("Africa/Johannesburg", ["Africa/Johannesburg"], "profile", "high", "ZA", None)
    made = Eligibility(
        customer="ana",
        known=True,
        message="cart_reminder",
        at=EVENING,
        eligible=False,
        outcome="defer",
        reason="outside_window",
        reason_class="healthy",
        channel="email",
        next_eligible="2026-03-03T07:00:00Z",
        place=place,
        channels=[a_channel()],
        trace=[],
        changes=[],
        program="sha256:0123456789abcdef",
    )
    return msgspec.structs.replace(made, **changes)


def a_channel(next_eligible: str | None = "2026-03-03T07:00:00Z") -> ChannelAnswer:
    rule = "channels.email.window"
    block = RuleBlock("window", "outside_window", rule, "", next_eligible, "")
    return ChannelAnswer("email", eligible=False, next_eligible=next_eligible, blocks=[block])


def test_the_verdict_for_now() -> None:
    expected = (
        "cart_reminder may not go to ana now: "
        "email is closed until 09:00 tomorrow (Africa/Johannesburg)"
    )
    assert describe_verdict(an_answer(), asked_at=False) == expected
    sent = an_answer(eligible=True, outcome="send", reason="sent")
    assert describe_verdict(sent, asked_at=False) == "cart_reminder may go to ana now, by email"
    instead = an_answer(eligible=True, outcome="substitute", channel="sms")
    assert describe_verdict(instead, asked_at=False).endswith(
        "by sms, in place of its first choice"
    )


@pytest.mark.parametrize(
    ("instant", "told"),
    [
        ("2026-03-02T21:59:00Z", "23:59"),
        ("2026-03-02T22:00:00Z", "00:00 tomorrow"),
        ("2026-03-05T07:00:01Z", "09:00:01 on Thursday"),
        ("2026-03-08T07:00:00Z", "09:00 on Sunday"),
        ("2026-03-09T07:00:00Z", "09:00 on 9 March 2026"),
        ("2026-12-01T07:00:00.500Z", "09:00 on 1 December 2026"),
    ],
)
def test_a_time_is_told_as_people_do(instant: str, told: str) -> None:
    assert tell_time(instant, an_answer()) == told


def test_a_message_that_would_not_wait_is_said_to_be_dropped() -> None:
    dropped = an_answer(outcome="drop", next_eligible=None)
    assert describe_plan(dropped).startswith(
        "It would not wait: it would be dropped (outside_window). Asked for again, it could go at"
    )
    nowhere = an_answer(outcome="drop", next_eligible=None, channels=[a_channel(None)])
    assert describe_plan(nowhere) == "It will not go: it would be dropped (outside_window)."
    assert describe_channel(a_channel(None), nowhere) == ("email: not free, and nobody knows when")


def test_a_reason_of_a_newer_server_is_still_told() -> None:
    assert "go to ana now: moon phase until" in describe_verdict(
        an_answer(reason="moon_phase"), asked_at=False
    )
