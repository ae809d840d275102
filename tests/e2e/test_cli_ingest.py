"""`nextbeat ingest`: files into a data folder, as history or live, again and again."""

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from actors.settings import Settings
from adapters.app import App, open_workspace
from engine.profile import Profile
from tests.e2e.command_line import NEXTBEAT, nextbeat, write_shop

SHOP = """
workspace: shop
consent: {marketing: opt_out}
channels:
  email: {adapter: log, identity: email}
message_types:
  promotional: {purpose: marketing, channels: [email]}
policies:
  suppress:
    - {name: just_bought, after: Order Completed, for: 24h, purposes: [marketing]}
messages:
  welcome: {type: promotional, content: {email: {subject: Hi, body: Welcome}}}
segments:
  regular: count("Order Completed", "365d") > 1
journeys:
  onboarding:
    trigger: {event: Signed Up}
    steps: [{send: welcome, id: first}]
"""


def call(number: int, kind: str, **more: object) -> dict[str, Any]:
    at = f"2026-03-02T{number // 60:02}:{number % 60:02}:00Z"
    return {"type": kind, "messageId": f"m{number}", "userId": "ana", "timestamp": at, **more}


CALLS = [
    call(1, "identify", traits={"email": "ana@example.com", "plan": "free"}),
    call(2, "track", event="Signed Up"),
    call(3, "track", event="purchase", properties={"value": "1,299.00", "currency": "zar"}),
    call(4, "track", event="Completed Order", properties={"revenue": 10}),
    call(5, "identify", traits={"email": "ana@example.com", "plan": "pro"}),
]


def write_calls(folder: Path, calls: list[dict[str, Any]], *more: str) -> Path:
    file = folder / "events.ndjson"
    lines = [json.dumps(each) for each in calls]
    file.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    return file


def ingest(folder: Path, file: Path | str, *more: str) -> subprocess.CompletedProcess[str]:
    shop = folder / "shop" if (folder / "shop").exists() else write_shop(folder, SHOP)
    return nextbeat("ingest", file, "--workspace", shop, "--data", folder / "data", *more)


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


async def find(folder: Path, customer: str = "ana") -> Profile:
    workspace = open_workspace(folder / "shop")
    async with App(workspace, folder / "data", None, settings=Settings(quiet=True)) as app:
        actor = (await app.runtime.directory.recall([customer]))[customer]
        assert actor.profile is not None
        return actor.profile


async def test_history_makes_a_profile_and_starts_nothing(tmp_path: Path) -> None:
    done = ingest(tmp_path, write_calls(tmp_path, CALLS))
    assert (done.returncode, done.stderr) == (0, "")
    assert "5 events stored, 0 duplicates, 0 not understood" in done.stdout
    ana = await find(tmp_path)
    assert ana.traits == {"email": "ana@example.com", "plan": "pro"}
    assert ana.history["Order Completed"].count == 2
    assert (ana.decision_count, ana.instances, ana.suppressed) == (0, {}, {})
    assert nextbeat("verify", "--data", tmp_path / "data").returncode == 0


async def test_live_decides_as_if_it_happened_now(tmp_path: Path) -> None:
    calls = [{**each, "timestamp": None} for each in CALLS[:2]]
    done = ingest(tmp_path, write_calls(tmp_path, calls), "--live")
    assert done.returncode == 0, done.stderr
    ana = await find(tmp_path)
    assert [sent.message for sent in ana.sends.values()] == ["welcome"]


async def test_a_file_that_has_grown_is_loaded_from_where_it_ended(tmp_path: Path) -> None:
    file = write_calls(tmp_path, CALLS[:3])
    assert summary(ingest(tmp_path, file, "--json"))["events"] == 3
    again = summary(ingest(tmp_path, file, "--json"))
    assert (again["events"], again["duplicates"], again["skipped_lines"]) == (0, 0, 3)
    write_calls(tmp_path, CALLS)
    more = summary(ingest(tmp_path, file, "--json"))
    assert (more["events"], more["duplicates"], more["skipped_lines"]) == (2, 0, 3)
    whole = summary(ingest(tmp_path, file, "--json", "--from-start"))
    assert (whole["events"], whole["duplicates"], whole["skipped_lines"]) == (0, 5, 0)
    assert (await find(tmp_path)).history["Order Completed"].count == 2


async def test_another_file_under_the_same_name_is_loaded_whole(tmp_path: Path) -> None:
    ingest(tmp_path, write_calls(tmp_path, CALLS[:2]))
    other = summary(ingest(tmp_path, write_calls(tmp_path, CALLS[2:]), "--json"))
    assert (other["events"], other["skipped_lines"]) == (3, 0)


def test_bad_lines_are_listed_and_kept_and_the_others_loaded(tmp_path: Path) -> None:
    timeless = json.dumps({"type": "track", "userId": "ana", "event": "Clicked"})
    nobody = json.dumps({"type": "track", "event": "Clicked", "timestamp": "2026-03-02"})
    endless = '{"pad": "' + "x" * 200_000 + '"}'
    file = write_calls(tmp_path, CALLS, "{broken", "", timeless, nobody, endless)
    done = ingest(tmp_path, file)
    assert done.returncode == 1
    assert "5 events stored, 0 duplicates, 4 not understood" in done.stdout
    assert "4 lines were not understood and are in quarantine" in done.stderr
    for line in (6, 8, 9, 10):
        assert f"  line {line}: " in done.stderr
    listed = nextbeat("quarantine", "list", "--data", tmp_path / "data", "--json")
    kept = {item["message"].partition(":")[0] for item in json.loads(listed.stdout)}
    assert kept == {"line 6", "line 8", "line 9", "line 10"}


async def test_gzip_is_unpacked_whatever_the_name(tmp_path: Path) -> None:
    plain = write_calls(tmp_path, CALLS)
    packed = tmp_path / "events"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert summary(ingest(tmp_path, packed, "--json"))["events"] == 5
    assert summary(ingest(tmp_path, packed, "--json"))["skipped_lines"] == 5


def test_gzip_that_is_cut_off_is_said_so_and_what_came_is_kept(tmp_path: Path) -> None:
    calls = [call(n, "track", event="Clicked", properties={"n": n}) for n in range(1_400)]
    packed = tmp_path / "events.gz"
    packed.write_bytes(gzip.compress(write_calls(tmp_path, calls).read_bytes())[:-200])
    done = ingest(tmp_path, packed)
    assert done.returncode == 1
    assert "no whole gzip file" in done.stderr


def test_standard_input_is_read(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, SHOP)
    file = write_calls(tmp_path, CALLS)
    folders = ["--workspace", str(shop), "--data", str(tmp_path / "data")]
    command = [NEXTBEAT, "ingest", "-", *folders, "--json"]
    with file.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["events"] == 5


def test_a_folder_that_a_server_uses_is_refused_in_words(tmp_path: Path) -> None:
    file = write_calls(tmp_path, CALLS)
    write_shop(tmp_path, SHOP)
    serving, _ = serve(tmp_path)
    try:
        done = ingest(tmp_path, file)
        assert done.returncode == 1
        assert "is in use by process" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        stop(serving)


@pytest.mark.parametrize("arguments", [["missing.ndjson"], []])
def test_a_command_that_cannot_be_understood_says_how(arguments: list[str]) -> None:
    done = nextbeat("ingest", *arguments)
    assert done.returncode == 2
    assert "Usage" in done.stderr


def serve(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Serve the shop on a free port; gives the process and its URL."""
    folders = ["--workspace", str(folder / "shop"), "--data", str(folder / "data")]
    serving = subprocess.Popen(
        [NEXTBEAT, "serve", *folders, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert serving.stderr is not None
    ready = json.loads(next(line for line in serving.stderr if '"ready"' in line))
    return serving, f"http://127.0.0.1:{ready['port']}"


def stop(serving: subprocess.Popen[str]) -> None:
    serving.terminate()
    serving.communicate(timeout=20)


async def test_a_running_server_is_loaded_into_over_http(tmp_path: Path) -> None:
    write_shop(tmp_path, SHOP)
    nobody = json.dumps({"type": "track", "event": "Clicked", "timestamp": "2026-03-02"})
    odd = json.dumps(call(9, "track", event="Clicked")).replace('"event"', '"n": NaN, "event"')
    file = write_calls(tmp_path, CALLS, "{broken", nobody, odd)
    serving, url = serve(tmp_path)
    try:
        done = nextbeat("ingest", file, "--url", url, HOME=str(tmp_path))
        assert done.returncode == 1
        assert "6 events taken, 2 not understood" in done.stdout
        assert "  line 6: " in done.stderr
        assert "  line 7: " in done.stderr
        again = nextbeat("ingest", file, "--url", url, "--json", HOME=str(tmp_path))
        assert (again.returncode, json.loads(again.stdout)["skipped_lines"]) == (0, 8)
    finally:
        stop(serving)
    ana = await find(tmp_path)
    assert ana.traits["plan"] == "pro"
    assert (ana.history["Order Completed"].count, ana.decision_count) == (2, 0)


@pytest.mark.parametrize(
    "where",
    [
        [],
        ["--workspace", "shop"],
        ["--data", "data"],
        ["--url", "http://127.0.0.1:1", "--data", "data"],
    ],
)
def test_one_place_to_load_into_has_to_be_said(tmp_path: Path, where: list[str]) -> None:
    shop = str(write_shop(tmp_path, SHOP))
    told = [shop if word == "shop" else word for word in where]
    done = nextbeat("ingest", write_calls(tmp_path, CALLS), *told)
    assert done.returncode == 2
    assert "--workspace and --data, or --url" in done.stderr


def test_a_server_that_refuses_is_quoted(tmp_path: Path) -> None:
    done = nextbeat("ingest", write_calls(tmp_path, CALLS), "--url", "ftp://x", HOME=str(tmp_path))
    assert done.returncode == 1
    assert "is not the address of a server" in done.stderr


def test_a_port_that_is_none_is_named(tmp_path: Path) -> None:
    url = "http://localhost:no"
    done = nextbeat("ingest", write_calls(tmp_path, CALLS), "--url", url, HOME=str(tmp_path))
    assert done.returncode == 1
    assert f"no Nextbeat answers at {url}: Port could not be cast" in done.stderr
    assert "Traceback" not in done.stderr
