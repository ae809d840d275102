"""On a terminal tables are drawn and long work shows how far it is."""

import json
import os
import pty
import subprocess
from pathlib import Path

from tests.e2e.command_line import NEXTBEAT, SHOP, write_shop


def on_terminal(*arguments: str | Path) -> str:
    """Run the command with a terminal as its output; give what is shown."""
    reading, writing = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(
        [NEXTBEAT, *map(str, arguments)], stdout=writing, stderr=writing, env=environment
    ) as running:
        os.close(writing)
        shown = bytearray()
        while piece := read(reading):
            shown += piece
        assert running.wait(timeout=60) == 0
    os.close(reading)
    return shown.decode()


def read(reading: int) -> bytes:
    try:
        return os.read(reading, 4096)
    except OSError:  # Linux tells the end of a terminal this way
        return b""


def test_a_table_is_drawn(tmp_path: Path) -> None:
    shown = on_terminal("check", write_shop(tmp_path))
    assert "─" in shown
    assert "onboarding" in shown


def test_long_work_shows_how_far_it_is(tmp_path: Path) -> None:
    event = {"type": "track", "userId": "ana", "event": "Seen", "timestamp": "2026-03-02T08:00:00Z"}
    file = tmp_path / "events.ndjson"
    lines = [json.dumps({**event, "messageId": str(number)}) for number in range(2_000)]
    file.write_text("\n".join(lines), encoding="utf-8")
    shown = on_terminal("replay", file, "--workspace", write_shop(tmp_path))
    assert "deciding" in shown
    assert "2000 events of 1 customers" in shown


def test_what_people_wrote_is_no_markup(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, SHOP.replace("onboarding", "a[red]b"))
    assert "a[red]b" in on_terminal("check", shop)
