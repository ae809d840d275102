"""Histories and the decisions they have always led to, the same to the byte on every machine.

`python tests/replay/test_replay_is_identical.py` writes the decisions anew: after a change that is
meant to decide otherwise, and then every line that differs wants a reason.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HISTORIES = ["autumn", "spring"]  # each goes over a change of the clocks
UNTIL = {"autumn": "2026-11-10T00:00:00Z", "spring": "2026-03-17T00:00:00Z"}


def decisions_of(name: str) -> Path:
    return HERE / f"{name}.decisions.ndjson"


def replay(name: str, workspace: Path, out: Path, *, hash_seed: str) -> None:
    """Run the command in a process of its own."""
    command = [
        sys.executable, "-m", "adapters.cli", "replay", str(HERE / f"{name}.ndjson"),
        "--workspace", str(workspace), "--until", UNTIL[name], "--decisions", str(out), "--strict",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return placed(tmp_path)


def placed(folder: Path) -> Path:
    shop = folder / "shop"
    shop.mkdir()
    (shop / "workspace.yaml").write_bytes((HERE / "shop.yaml").read_bytes())
    return shop


@pytest.mark.slow
@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_leads_to_the_decisions_it_always_led_to(
    name: str, workspace: Path, tmp_path: Path
) -> None:
    found: list[bytes] = []
    for hash_seed in ("0", "4242"):
        out = tmp_path / f"{hash_seed}.ndjson"
        replay(name, workspace, out, hash_seed=hash_seed)
        found.append(out.read_bytes())
    assert found[0] == found[1]
    assert found[0].splitlines() == decisions_of(name).read_bytes().splitlines()


def test_the_histories_are_about_something() -> None:
    """Among the decisions kept there are all outcomes and most reasons the shop can have."""
    kept = b"".join(decisions_of(name).read_bytes() for name in HISTORIES)
    for outcome in ("send", "defer", "drop", "substitute"):
        assert f'"outcome":"{outcome}"'.encode() in kept
    reasons = [
        "sent", "outside_window", "channel_cap", "shared_cap", "backoff", "cooldown", "suppressed",
        "same_message", "no_consent", "consent_withdrawn", "unreachable", "goal_met", "expired",
        "no_content", "provider_failed",
    ]  # fmt: skip
    assert [one for one in reasons if f'"reason":"{one}"'.encode() not in kept] == []


def _renew(folder: Path) -> None:
    shop = placed(folder)
    for name in HISTORIES:
        replay(name, shop, decisions_of(name), hash_seed="0")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        _renew(Path(made))
