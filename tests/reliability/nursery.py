"""Starts servers quickly: everything is imported once, and each server is a fork of that.

A script, run by `tests.reliability.victim`. A line of its input is JSON: `arguments` and
`environment` begin a `nextbeat` (from the installed command where it is `plain`), which is answered
with its process id; without them it waits for that one, and answers with its exit code.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from adapters.cli.commands import main

importlib.import_module("adapters.cli.serve")


def begin(job: dict[str, Any]) -> int:
    """Start one; what it prints goes where our errors go, for our output is the answers."""
    child = os.fork()
    if child:
        return child
    os.environ.update(job["environment"])
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)
    sys.argv = [str(Path(sys.executable).with_name("nextbeat")), *job["arguments"]]
    if job["plain"]:
        os.execv(sys.argv[0], sys.argv)
    main()
    raise SystemExit


def attend() -> None:
    """Do what is asked until the input ends."""
    child = 0
    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        if job:
            child = answer = begin(job)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    attend()
