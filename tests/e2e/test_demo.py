"""The demonstration, played from beginning to end as a person plays it."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.app import open_workspace
from adapters.demo.play import DEMO_WORKSPACE
from adapters.demo.shoppers import ENDS_AT, OPENS_AT, plan_day
from tests.e2e.command_line import NEXTBEAT, nextbeat

pytestmark = pytest.mark.slow

_ROW = re.compile(r"^(\S+) +(send|defer|drop|substitute) +(\w+) +(\d+)", re.MULTILINE)


def play(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = nextbeat("demo", "--seconds", "8", "--data", data, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "day"


@pytest.fixture(scope="module")
def told(folder: Path) -> str:
    """One day, played once for all the tests that only look at it."""
    return play(folder).stdout


def rows(told: str) -> Iterator[tuple[str, str, str, int]]:
    for channel, outcome, reason, count in _ROW.findall(told):
        yield channel, outcome, reason, int(count)


def test_the_day_shows_every_outcome_on_every_channel(told: str) -> None:
    seen = list(rows(told))
    assert {outcome for _, outcome, _, _ in seen} == {"send", "defer", "drop", "substitute"}
    sent_on = {channel for channel, outcome, _, _ in seen if outcome in ("send", "substitute")}
    assert sent_on == {"email", "push", "sms", "in_app", "inbox", "badge"}


def test_the_day_shows_why_messages_wait_and_why_they_do_not_go(told: str) -> None:
    deferred = {reason for _, outcome, reason, _ in rows(told) if outcome == "defer"}
    dropped = {reason for _, outcome, reason, _ in rows(told) if outcome == "drop"}
    assert deferred >= {"outside_window", "channel_cap", "cooldown", "suppressed"}
    assert dropped >= {
        "no_consent",
        "consent_withdrawn",
        "goal_met",
        "same_message",
        "expired",
        "unreachable",
        "provider_failed",
    }


def test_a_mail_that_is_refused_for_good_goes_by_another_channel(told: str) -> None:
    assert re.search(r"Kagiso +order_confirmation +sent +sms +email refused it for good", told)


def test_the_summary_counts_what_was_shown(told: str) -> None:
    stated = re.search(r"^The day is over\. (\d+) decisions:$", told, re.MULTILINE)
    assert stated is not None
    shown = re.findall(r"^\d\d:\d\d  \S", told, re.MULTILINE)
    assert int(stated[1]) == sum(count for *_, count in rows(told)) == len(shown)


def test_what_was_sent_is_what_arrived(told: str) -> None:
    events = re.search(
        r"(\d+) sent by the Segment library = (\d+) stored \+ (\d+) duplicates \+ (\d+) quar", told
    )
    mail = re.search(r"(\d+) accepted = (\d+) at the mail server; (\d+) failed = (\d+)", told)
    assert events is not None
    assert mail is not None
    sent, stored, duplicates, quarantined = map(int, events.groups())
    assert sent == len(plan_day(7).calls) == stored + duplicates + quarantined
    assert min(duplicates, quarantined) > 0
    accepted, taken, failed, refused = map(int, mail.groups())
    assert (accepted, failed) == (taken, refused)
    assert min(accepted, failed) > 0
    phones = re.search(r"(\d+) texts and pushes accepted = (\d+) at the stand-ins", told)
    assert phones is not None
    assert int(phones[1]) > 0


def test_the_printed_commands_work(told: str, folder: Path) -> None:
    printed = re.findall(r"^  (\S*nextbeat explain .*)$", told, re.MULTILINE)
    assert len(printed) == 2
    for command in printed:
        _, *arguments = shlex.split(command)
        explained = nextbeat(*arguments)
        assert explained.returncode == 0
        assert str(folder) in arguments
        assert "waits until" in explained.stdout


def test_another_day_replaces_the_one_before_but_nothing_else(tmp_path: Path) -> None:
    assert nextbeat("demo", "--seconds", "1", "--data", tmp_path / "day").returncode == 0
    assert nextbeat("demo", "--seconds", "1", "--data", tmp_path / "day").returncode == 0
    (tmp_path / "kept").write_text("mine")
    refused = nextbeat("demo", "--data", tmp_path)
    assert refused.returncode == 1
    assert "name another folder with --data" in refused.stderr
    assert (tmp_path / "kept").read_text() == "mine"


def test_a_proxy_of_the_machine_is_not_asked(tmp_path: Path) -> None:
    proxy = "http://127.0.0.1:9"
    done = nextbeat("demo", "--seconds", "1", "--data", tmp_path / "day", http_proxy=proxy)
    assert done.returncode == 0
    assert f"{len(plan_day(7).calls)} sent by the Segment library =" in done.stdout


def test_ctrl_c_ends_the_day_early_with_a_summary(tmp_path: Path) -> None:
    command = [NEXTBEAT, "demo", "--seconds", "60", "--data", str(tmp_path / "day")]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        first = next(line for line in running.stdout if "order_confirmation" in line)
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        assert (running.wait(30), running.stderr.read()) == (0, "")
    assert "sent" in first
    assert "The day was stopped at" in rest
    assert "= " in next(line for line in rest.splitlines() if line.startswith("events"))


def test_without_the_extra_it_says_what_to_install() -> None:
    block = "import sys; sys.modules['aiosmtpd'] = None; sys.argv = ['nextbeat', 'demo']; "
    block += "from adapters.cli.commands import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "pip install 'nextbeat[demo]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_same_seed_plans_the_same_day_inside_its_hours() -> None:
    day = plan_day(7)
    assert day == plan_day(7)
    assert day != plan_day(8)
    assert all(OPENS_AT <= call.at < ENDS_AT + 60_000 for call in day.calls)
    assert all(
        str(shopper.traits.get("email", "x.example.com")).endswith("example.com")
        for shopper in day.shoppers.values()
    )


def test_what_the_workspace_asks_for_is_in_the_day() -> None:
    program = open_workspace(DEMO_WORKSPACE).program
    assert set(program.triggers) <= {call.event for call in plan_day(7).calls}
