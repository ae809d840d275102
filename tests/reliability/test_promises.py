"""The page of promises says what the list says, and every test it names is there."""

import ast
from pathlib import Path

from tests.reliability.promises import PAGE, PROMISES, write_page

ROOT = Path(__file__).resolve().parents[2]


def names_of_tests() -> set[str]:
    return {
        f"{path.name}::{node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_test_that_a_promise_names_is_there() -> None:
    named = [test for promise in PROMISES for test in promise.tests]
    assert sorted(set(named) - names_of_tests()) == []


def test_every_promise_has_a_test_that_could_break_it() -> None:
    assert [promise.name for promise in PROMISES if not promise.tests] == []


def test_the_page_says_what_is_promised_and_what_was_measured() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert "Last run: 20" in page
    missing = [line for line in write_page({}, "").splitlines() if line not in page.splitlines()]
    assert missing == []
    for figure in ("kills", "crash states", "faults", "stops at full load"):
        assert f"| {figure} |" in page


def test_figures_are_shown_where_they_belong() -> None:
    page = write_page({"kills": {"kills": 2_000, "seed": 12345}, "odd": {"seconds": 1.5}}, "x")
    assert "| kills | 2,000 |\n| seed | 12345 |" in page
    assert page.endswith("## Other figures\n\n| odd | |\n|---|---:|\n| seconds | 1.5 |\n")
