"""`nextbeat check` and `nextbeat schema`, as a person and as a script use them."""

import json
from pathlib import Path

from engine.program.model import WorkspaceSpec
from tests.e2e.command_line import SHOP, nextbeat, write_shop


def test_a_sound_workspace_is_summed_up(tmp_path: Path) -> None:
    done = nextbeat("check", write_shop(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("shop: no problems (sha256:")
    assert "journeys       1      onboarding" in done.stdout


def test_every_problem_is_named_with_its_place_and_a_suggestion(tmp_path: Path) -> None:
    text = SHOP.replace("[email]", "[emial]").replace("send: welcome", "send: welcom")
    done = nextbeat("check", write_shop(tmp_path, text))
    assert done.returncode == 1
    first, second, _, last = done.stdout.splitlines()
    assert "workspace.yaml:8:48: message_types.promotional.channels[0]: unknown channel" in first
    assert "did you mean 'email'?" in first
    assert "workspace.yaml:14:20: journeys.onboarding.steps[0].send: unknown message" in second
    assert last == f"2 problems in {tmp_path / 'shop'}"


def test_a_script_reads_the_verdict_as_json(tmp_path: Path) -> None:
    shop = write_shop(tmp_path)
    good = json.loads(nextbeat("check", shop, "--json").stdout)
    assert (good["ok"], good["workspace"]) == (True, "shop")
    (shop / "workspace.yaml").write_text(SHOP.replace("[email]", "[emial]"), encoding="utf-8")
    done = nextbeat("check", shop, "--json")
    bad = json.loads(done.stdout)
    assert (done.returncode, bad["ok"]) == (1, False)
    assert [(one["path"], one["line"]) for one in bad["problems"]] == [
        ("message_types.promotional.channels[0]", 8)
    ]


def test_a_file_that_is_not_yaml_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    done = nextbeat("check", write_shop(tmp_path, "workspace: {"))
    assert done.returncode == 1
    assert "workspace.yaml:" in done.stdout
    assert "Traceback" not in done.stderr


def test_an_empty_folder_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    done = nextbeat("check", tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_schema_describes_every_key() -> None:
    done = nextbeat("schema")
    schema = json.loads(done.stdout)
    assert done.returncode == 0
    text = json.dumps(schema)
    assert [name for name in WorkspaceSpec.__struct_fields__ if f'"{name}"' not in text] == []


def test_the_schema_is_written_to_a_file(tmp_path: Path) -> None:
    target = tmp_path / "schema.json"
    done = nextbeat("schema", "--output", target)
    assert done.returncode == 0
    assert json.loads(target.read_bytes()) == json.loads(nextbeat("schema").stdout)


def test_a_file_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    done = nextbeat("schema", "--output", tmp_path / "nowhere" / "schema.json")
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_can_surely_not_be_meant_is_a_warning(tmp_path: Path) -> None:
    text = SHOP.replace("[{send: welcome,", "[{wait_for: {event: Paid}}, {send: welcome,")
    shop = write_shop(tmp_path, text)
    done = nextbeat("check", shop)
    assert done.returncode == 0
    first, _, third, *_ = done.stdout.splitlines()
    assert first.endswith(
        "workspace.yaml:14:14: warning: journeys.onboarding.steps[0].wait_for: this may wait for "
        "ever (give it an `up_to:`)"
    )
    assert third.startswith("shop: no problems, 1 warning (sha256:")
    assert nextbeat("check", shop, "--strict").returncode == 1


def test_a_script_reads_warnings_beside_problems(tmp_path: Path) -> None:
    text = SHOP.replace("[{send: welcome,", "[{wait_for: {event: Paid}}, {send: welcome,")
    shop = write_shop(tmp_path, text)
    told = json.loads(nextbeat("check", shop, "--json").stdout)
    assert (told["ok"], [one["line"] for one in told["warnings"]]) == (True, [14])
    done = nextbeat("check", shop, "--json", "--strict")
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (1, False)
