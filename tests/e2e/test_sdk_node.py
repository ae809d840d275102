"""Segment's own Node library, unmodified, against a real server.

It is installed once per run into a folder of its own. Where there is no Node these tests are
skipped, except in CI, where there has to be one.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.gateway_host import Served, not_stored, overloaded, running

PACKAGE = "@segment/analytics-node@3.1.0"
SCRIPT = Path(__file__).with_name("sdk_node.mjs")
COUNT = 100

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("node") and shutil.which("npm")) and not os.environ.get("CI"),
        reason="node and npm are not installed",
    ),
]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("node")


async def _run(*command: str, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 240)
    assert process.returncode == 0, output.decode()


async def say(served: Served, what: str, folder: Path) -> None:
    """Run the program, with the library at its side."""
    if not (folder / "node_modules").is_dir():
        quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts")
        await _run("npm", "install", "--prefix", str(folder), *quiet, PACKAGE, folder=folder)
        shutil.copy(SCRIPT, folder)
    await _run("node", SCRIPT.name, served.url, what, folder=folder)


async def test_all_six_calls_arrive(served: Served, folder: Path) -> None:
    await say(served, "six", folder)
    told = [
        (event.name, event.user, event.properties, event.traits) for event in served.runtime.events
    ]
    assert told == [
        ("Identified", "u1", {}, {"email": "a@b.c"}),
        ("Order Completed", "u1", {"total": 30.5}, {}),
        ("Page Viewed", "u1", {"path": "/docs", "category": "Docs", "name": "Python"}, {}),
        ("Screen Viewed", "u1", {"v": 1, "name": "Home", "category": "Main"}, {}),
        ("Group Joined", "u1", {"groupId": "company-7"}, {"name": "Initech"}),
        ("Alias Linked", "u1", {"previousId": "anon-9"}, {}),
    ]


@pytest.mark.parametrize("loses_answers", [False, True])
async def test_nothing_is_lost_or_doubled_while_the_server_says_429_and_503(
    served: Served, folder: Path, *, loses_answers: bool
) -> None:
    served.runtime.loses_answers = loses_answers
    served.runtime.troubles.extend([overloaded(), not_stored(), overloaded()])
    await say(served, "many", folder)
    numbers = [event.properties["number"] for event in served.runtime.events]
    assert sorted(numbers) == list(range(COUNT))
    assert not served.runtime.troubles
    assert served.counters.refused == {"overloaded": 2, "not_stored": 1}
    assert (served.runtime.counters.duplicates > 0) is loses_answers
    assert served.balanced()
