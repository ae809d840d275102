"""`nextbeat init`: a workspace to begin with, and nobody's files lost."""

import json
from pathlib import Path

from tests.e2e.command_line import nextbeat


def test_a_workspace_to_begin_with_is_sound_and_its_tests_pass(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    done = nextbeat("init", shop)
    assert (done.returncode, done.stderr) == (0, "")
    assert "workspace.yaml" in done.stdout
    assert nextbeat("check", shop, "--strict").returncode == 0
    assert nextbeat("test", shop).returncode == 0


def test_files_that_are_there_are_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "workspace.yaml").write_text("workspace: mine", encoding="utf-8")
    done = nextbeat("init", tmp_path)
    assert done.returncode == 1
    assert "workspace.yaml is there already: nothing was written" in done.stderr
    assert (tmp_path / "workspace.yaml").read_text(encoding="utf-8") == "workspace: mine"
    assert [path.name for path in tmp_path.iterdir()] == ["workspace.yaml"]


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    assert nextbeat("init", tmp_path).returncode == 0
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"


def test_templates_are_listed(tmp_path: Path) -> None:
    done = nextbeat("init", "--list")
    assert done.returncode == 0
    assert "minimal" in done.stdout
    listed = json.loads(nextbeat("init", "--list", "--json").stdout)
    assert all(one["name"] and one["about"] for one in listed)


def test_an_unknown_template_is_said_in_words(tmp_path: Path) -> None:
    done = nextbeat("init", tmp_path / "shop", "--template", "minimale")
    assert done.returncode == 2
    assert "did you mean 'minimal'?" in done.stderr
    assert not (tmp_path / "shop").exists()


def test_a_folder_has_to_be_named() -> None:
    done = nextbeat("init")
    assert done.returncode == 2
    assert "FOLDER" in done.stderr
