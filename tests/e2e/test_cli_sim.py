"""`nextbeat sim`, as a person and as a script use it."""

import json
import os
import subprocess
import sys

from tests.e2e.command_line import nextbeat

_BROKEN = """
from adapters.cli.commands import main
from tests.simulation.planted import plant
with plant("duplicates_taken_again"):
    main()
"""


def test_a_run_tells_what_happened_and_that_it_was_well() -> None:
    done = nextbeat("sim", "--seed", "7", "--days", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "events acknowledged" in done.stdout
    assert "crashes, everything checked" in done.stdout
    assert done.stdout.splitlines()[-1] == "OK"


def test_the_same_seed_has_the_same_trace_for_programs_too() -> None:
    runs = [
        nextbeat(
            "sim", "--seed", "7", "--seeds", "2", "--days", "0.1", "--json", PYTHONHASHSEED=chance
        )
        for chance in ("1", "2")
    ]
    first, second = (json.loads(run.stdout) for run in runs)
    assert first == second
    assert first["seeds"] == 2
    assert first["failures"] == []
    assert first["crashes"] >= 1


def test_faults_can_be_chosen_and_an_unknown_one_is_named() -> None:
    calm = nextbeat("sim", "--seed", "1", "--days", "0.1", "--faults", "none", "--json")
    assert json.loads(calm.stdout)["fired"] == {}
    slow = nextbeat("sim", "--seed", "1", "--days", "0.5", "--faults", "slow,crash", "--json")
    assert set(json.loads(slow.stdout)["fired"]) <= {"slow", "crash", "torn", "whole", "overload"}
    wrong = nextbeat("sim", "--seed", "1", "--faults", "fire")
    assert wrong.returncode == 2
    assert "'fire' is not a fault; there are crash" in wrong.stderr


def test_a_broken_promise_is_told_with_the_way_to_see_it_again() -> None:
    options = ("--days", "0.25", "--faults", "disconnect,crash")
    command = [sys.executable, "-c", _BROKEN, "sim", "--seed", "0", "--seeds", "5", *options]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.returncode == 1
    assert "VIOLATED each event is in the journal once" in done.stderr
    assert "again: nextbeat sim --seed " in done.stderr
    assert "--faults crash,disconnect" in done.stderr
