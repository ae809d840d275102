"""`nextbeat test`, as a person and as a script use it."""

import json
from pathlib import Path

from tests.e2e.command_line import SHOP, nextbeat, write_shop

TESTS = """
tests:
  welcomed:
    customer: {traits: {email: ana@x.example}, consents: {marketing: granted}}
    given: [{event: Signed Up}]
    expect: [{message: welcome, contains: Welcome}]
  woken:
    from: "2026-03-02T22:00"
    customer: {traits: {email: ana@x.example}, consents: {marketing: granted}}
    given: [{event: Signed Up}]
    expect:
      - {message: welcome, at: "22:00"}
"""
WRONG = SHOP + TESTS
RIGHT = WRONG.replace('at: "22:00"', 'at: "09:00"')


def test_tests_that_pass_are_listed_and_counted(tmp_path: Path) -> None:
    done = nextbeat("test", write_shop(tmp_path, RIGHT))
    assert (done.returncode, done.stderr) == (0, "")
    first, second, last = done.stdout.splitlines()
    assert first.split()[:2] == ["ok", "welcomed"]
    assert second.split()[:2] == ["ok", "woken"]
    assert last.startswith("2 passed in ")


def test_a_test_that_fails_shows_what_was_wanted_and_what_happened(tmp_path: Path) -> None:
    done = nextbeat("test", write_shop(tmp_path, WRONG))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    line = WRONG.splitlines().index("  woken:") + 1
    assert lines[1].startswith("FAIL  woken")
    assert lines[1].endswith(f"shop/workspace.yaml:{line}")
    shown = "\n".join(lines)
    assert "-  Mon 2026-03-02 22:00  welcome  send" in shown
    assert f"shop/workspace.yaml:{line + 5})" in shown
    assert "+  Tue 2026-03-03 09:00  welcome  send  channel email" in shown
    assert lines[-1].startswith("1 failed, 1 passed in ")


def test_tests_are_chosen_by_a_part_of_their_name(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, WRONG)
    done = nextbeat("test", shop, "-k", "WELC")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("1 passed")
    done = nextbeat("test", shop, "-k", "nobody")
    assert done.returncode == 1
    assert "there is no test with 'nobody' in its name" in done.stderr


def test_a_script_reads_what_came_of_the_tests(tmp_path: Path) -> None:
    done = nextbeat("test", write_shop(tmp_path, WRONG), "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"], told["passed"], told["failed"]) == (1, False, 1, 1)
    good, bad = told["tests"]
    assert (good["name"], good["ok"], good["problems"]) == ("welcomed", True, [])
    assert [one["outcome"] for one in bad["decisions"]] == ["defer", "send"]
    (problem,) = bad["problems"]
    assert problem["path"] == "tests.woken.expect[0]"
    assert problem["file"].endswith("workspace.yaml")
    assert problem["decision"]["trace"]
    assert "2026-03-02T20:00:00Z" in problem["message"]


def test_a_workspace_without_tests_passes_none(tmp_path: Path) -> None:
    done = nextbeat("test", write_shop(tmp_path))
    assert done.returncode == 1
    assert "write one under `tests:`" in done.stderr


def test_a_test_that_makes_no_sense_is_a_problem_of_the_workspace(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, WRONG.replace("message: welcome, at", "message: welcom, at"))
    for command in ("test", "check"):
        done = nextbeat(command, shop)
        assert done.returncode == 1
        assert "tests.woken.expect[0].message: unknown message 'welcom'" in (
            done.stdout + done.stderr
        )


def test_tests_may_stand_in_files_of_their_own(tmp_path: Path) -> None:
    shop = write_shop(tmp_path)
    before = nextbeat("check", shop, "--json").stdout
    (shop / "tests").mkdir()
    (shop / "tests" / "welcome.yaml").write_text(RIGHT.replace(SHOP, ""), encoding="utf-8")
    assert nextbeat("test", shop).stdout.splitlines()[-1].startswith("2 passed")
    assert json.loads(nextbeat("check", shop, "--json").stdout)["program"] in before
