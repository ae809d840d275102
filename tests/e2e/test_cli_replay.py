"""`nextbeat replay`: files in, decisions out, the same bytes every time."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command_line import SHOP, nextbeat, write_shop


def call(kind: str, at: str, **more: object) -> dict[str, Any]:
    call_id = f"{kind}-{at}-{more.get('userId', 'ana')}"
    return {"type": kind, "messageId": call_id, "userId": "ana", "timestamp": at, **more}


EVENTS = [
    call("identify", "2026-03-02T08:00:00Z", traits={"email": "ana@example.com"}),
    call("track", "2026-03-02T18:30:00Z", event="Signed Up"),
]


def write_events(folder: Path, events: list[dict[str, Any]], *more: str) -> Path:
    file = folder / "events.ndjson"
    lines = [json.dumps(event) for event in events]
    file.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    return file


def test_timers_fire_at_their_instant_up_to_until(tmp_path: Path) -> None:
    shop, events = write_shop(tmp_path), write_events(tmp_path, EVENTS)
    out = tmp_path / "decisions.ndjson"
    until = "2026-03-03T07:00:00Z"
    done = nextbeat("replay", events, "--workspace", shop, "--until", until, "--decisions", out)
    assert (done.returncode, done.stderr) == (0, "")
    decisions = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(one["at"], one["outcome"], one["reason"]) for one in decisions] == [
        ("2026-03-02T18:30:00Z", "defer", "outside_window"),
        (until, "send", "sent"),
    ]


def test_without_until_time_ends_with_the_last_event(tmp_path: Path) -> None:
    shop, events = write_shop(tmp_path), write_events(tmp_path, EVENTS)
    done = nextbeat("replay", events, "--workspace", shop, "--json")
    summary = json.loads(done.stdout)
    assert (summary["events"], summary["customers"]) == (2, 1)
    assert summary["outcomes"] == {"defer outside_window": 1}


def test_the_order_of_the_file_does_not_matter_the_time_does(tmp_path: Path) -> None:
    shop = write_shop(tmp_path)
    straight = write_events(tmp_path, EVENTS)
    first = nextbeat("replay", straight, "--workspace", shop, "--decisions", "-").stdout
    turned = write_events(tmp_path, EVENTS[::-1])
    assert nextbeat("replay", turned, "--workspace", shop, "--decisions", "-").stdout == first


@pytest.mark.slow
def test_two_runs_give_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    shop = write_shop(tmp_path)
    events = [
        {**event, "userId": f"u{number}", "messageId": f"{number}-{event['type']}"}
        for number in range(50)
        for event in EVENTS
    ]
    file = write_events(tmp_path, events)
    written = {
        nextbeat(
            "replay", file, "--workspace", shop, "--decisions", "-", PYTHONHASHSEED=seed
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(written) == 1
    assert written.pop().count("\n") == 50


def test_decisions_on_standard_output_stand_alone(tmp_path: Path) -> None:
    shop, events = write_shop(tmp_path), write_events(tmp_path, EVENTS, "{not json")
    done = nextbeat("replay", events, "--workspace", shop, "--decisions", "-")
    assert [json.loads(line)["outcome"] for line in done.stdout.splitlines()] == ["defer"]
    assert "line 3" in done.stderr


def test_a_line_that_is_not_understood_is_named_and_the_rest_decided(tmp_path: Path) -> None:
    shop = write_shop(tmp_path)
    events = write_events(tmp_path, EVENTS, "{not json", '{"type": "track"}')
    done = nextbeat("replay", events, "--workspace", shop)
    assert done.returncode == 0
    assert "2 events of 1 customers, 1 decisions" in done.stdout
    assert "2 lines were not understood" in done.stderr
    assert nextbeat("replay", events, "--workspace", shop, "--strict").returncode == 1


def test_a_workspace_with_problems_is_not_replayed(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, SHOP.replace("[email]", "[emial]"))
    events, out = write_events(tmp_path, EVENTS), tmp_path / "out.ndjson"
    done = nextbeat("replay", events, "--workspace", shop, "--decisions", out)
    assert done.returncode == 1
    assert "did you mean 'email'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_the_summary_is_a_table_of_outcomes(tmp_path: Path) -> None:
    shop, events = write_shop(tmp_path), write_events(tmp_path, EVENTS)
    done = nextbeat("replay", events, "--workspace", shop)
    assert done.stdout.splitlines()[-1].split() == ["defer", "outside_window", "1"]


def test_a_replay_says_that_it_has_no_lists_of_registries(tmp_path: Path) -> None:
    registries = (
        "registries:\n  za: {file: list.txt, channels: [email], max_age: 30d}\nmessage_types:"
    )
    shop = write_shop(tmp_path, SHOP.replace("message_types:", registries))
    events = write_events(tmp_path, EVENTS)
    done = nextbeat("replay", events, "--workspace", shop, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcomes"] == {"drop registry_stale": 1}
    assert "no lists of opt-out registries (za)" in done.stderr
