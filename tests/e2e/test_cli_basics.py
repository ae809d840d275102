"""The command as it is installed: help, version, exit codes, words instead of tracebacks."""

import subprocess
import sys

import pytest

from tests.e2e.command_line import nextbeat

COMMANDS = ("demo", "serve", "check", "schema", "replay", "segments", "explain", "quarantine")


def test_help_names_every_command() -> None:
    done = nextbeat("--help")
    assert done.returncode == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in done.stdout] == []


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, adapters.cli.commands\n"
        "print([name for name in ('aiohttp', 'rich', 'liquid', 'yaml', 'aiosqlite', 'asyncio')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = nextbeat(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: nextbeat " + command)


def test_the_version_is_told() -> None:
    done = nextbeat("--version")
    assert (done.returncode, done.stdout[:9]) == (0, "nextbeat,")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chekc"], "No such command 'chekc'"),
        (["check"], "Missing argument 'FOLDER'"),
        (["check", "/nowhere/at/all"], "'/nowhere/at/all' does not exist"),
        (["replay", "/nowhere.ndjson", "--workspace", "."], "'/nowhere.ndjson' does not exist"),
        (["serve", "--workspace", "."], "Missing option '--data'"),
        (["serve", "--workspace", ".", "--data", ".", "--port", "65536"], "65536 is not in the"),
        (["explain", "ana", "--outcome", "sent"], "'sent' is not one of"),
        (["explain", "ana", "--since", "yesterday"], "write it like 2026-03-02T05:12:00Z"),
    ],
)
def test_wrong_usage_is_named_and_exits_with_2(arguments: list[str], said: str) -> None:
    done = nextbeat(*arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there_is_said_in_words() -> None:
    done = nextbeat("explain", "ana", "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "no Nextbeat answers at http://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_is_none_is_said_in_words() -> None:
    done = nextbeat("explain", "ana", "--url", "ftp://example.com")
    assert done.returncode == 1
    assert "write it like http://127.0.0.1:8080" in done.stderr


def test_it_refuses_to_run_without_assertions() -> None:
    done = nextbeat("--help", PYTHONOPTIMIZE="1")
    assert done.returncode == 2
    assert "assertions are switched off" in done.stderr


def test_what_the_machine_refuses_is_said_in_words() -> None:
    done = nextbeat("schema", "--output", "/nowhere/at/all.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: /nowhere/at/all.json: No such file or directory\n"
