"""House rules that no linter knows, checked over our own files.

Each rule is a small function over one file; the tests at the end show that each can fail.
"""

import ast
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# In CI the tests run in a folder of their own, away from the packages they read here.
ROOT = Path(os.environ.get("NEXTBEAT_REPOSITORY") or Path(__file__).resolve().parents[1])
PRODUCT = ("engine", "actors", "adapters")
PYTHON = (*PRODUCT, "bench", "tests")

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

Finding = tuple[int, str]
Function = ast.FunctionDef | ast.AsyncFunctionDef

NAMELESS = {"manager", "helper", "helpers", "util", "utils", "common", "base", "data", "info"}
ENGINE_CALLS = {"hash", "id", "print", "open", "input", "globals", "vars", "eval", "__import__"}
ORDERING = {"list", "tuple", "iter", "next", "enumerate", "map", "filter", "zip"}

# Spelled in pieces, so that this file does not find itself.
UNFIT = {
    "a package registry's host": r"pypi\." + r"org|files\.python" + r"hosted|registry\.npm" + r"js",
    "a path of one machine": r"(?<![\w.])/(?:wor" + r"k/|ro" + r"ot/|tmp/ven" + r"v|home/\w+/)",
    "a task without a name": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b(?!\()",
    "unfinished work": r"not implemented " + r"yet|simplified for " + r"now",
}
TEXT = {".py", ".md", ".toml", ".sql", ".yaml", ".yml", ".txt", ".json", ".liquid", ".js", ".html"}
SKIPPED = {
    "node_modules", "__pycache__", "dist", "build", "results",
}  # fmt: skip


def sources(*packages: str) -> Iterator[Path]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not SKIPPED & set(path.relative_to(ROOT).parts):
                yield path


def texts() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = parts[0].startswith(".") and parts[0] != ".ci"
        if hidden or SKIPPED & set(parts) or not path.is_file():
            continue
        if path.suffix in TEXT or path.name in {"Makefile", "run"}:
            yield path


def gather(rule: Callable[[ast.Module], Iterator[Finding]], *packages: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in sources(*packages)
        for line, what in rule(ast.parse(path.read_text(encoding="utf-8")))
    ]


def nothing(found: Sequence[object]) -> None:
    assert not found, "\n" + "\n".join(map(str, found))


def functions(tree: ast.Module) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def long_functions(tree: ast.Module) -> Iterator[Finding]:
    for node in functions(tree):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield node.lineno, f"{node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}"


def silent_modules(tree: ast.Module) -> Iterator[Finding]:
    if ast.get_docstring(tree) is None:
        yield 1, "the module does not say what it owns"


def busy_packages(tree: ast.Module) -> Iterator[Finding]:
    for node in tree.body[1:]:
        yield node.lineno, "a package's __init__ holds a docstring and nothing else"


def nameless_things(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            if re.findall(r"[A-Z][a-z]*|[a-z]+", node.name)[-1].lower() in NAMELESS:
                yield node.lineno, f"class {node.name}: the name does not say what it is"
        elif isinstance(node, Function) and node.name.strip("_") in NAMELESS | {"handle"}:
            yield node.lineno, f"{node.name}: the name does not say what it does"


def late_imports(tree: ast.Module) -> Iterator[Finding]:
    for function in functions(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield node.lineno, f"{function.name} imports while it runs"


def type_checking(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.alias):
            name = node.id if isinstance(node, ast.Name) else node.name
            if name == "TYPE_CHECKING":
                yield node.lineno, "imports that only a type checker sees hide a cycle"


def impure_calls(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ENGINE_CALLS:
                yield node.lineno, f"{node.func.id}() in the engine"
            elif node.func.id in ORDERING and any(map(is_set, node.args)):
                yield node.lineno, f"{node.func.id}() of a set: its order is not stable"
        elif isinstance(node, ast.Global):
            yield node.lineno, "global state in the engine"


def set_loops(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.comprehension) and is_set(node.iter):
            yield node.iter.lineno, "a loop over a set: its order is not stable"


def is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"set", "frozenset"}
    )


def async_code(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            yield node.lineno, "the engine is synchronous"


def early_now(tree: ast.Module) -> Iterator[Finding]:
    for node in functions(tree):
        positional = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        defaulted = len(node.args.defaults)
        required = positional[: len(positional) - defaulted] if defaulted else positional
        if "now" in required[:-1]:
            yield node.lineno, f"{node.name}: `now` is the last argument"


def sleeps_and_mocks(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = node.module if isinstance(node, ast.ImportFrom) else None
            if "mock" in ".".join([module or "", *names]).split("."):
                yield node.lineno, "a mock says nothing about the real thing"
            if module == "time" and "sleep" in names:
                yield node.lineno, "a sleeping test is slow or wrong: wait for what must happen"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep":
            yield node.lineno, "a sleeping test is slow or wrong: wait for what must happen"


def unfit_text(text: str) -> Iterator[Finding]:
    for what, pattern in UNFIT.items():
        for match in re.finditer(pattern, text):
            yield text.count("\n", 0, match.start()) + 1, f"{what}: {match[0]!r}"


def limits() -> list[str]:
    tree = ast.parse((ROOT / "engine" / "limits.py").read_text(encoding="utf-8"))
    return [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]


def test_no_module_is_longer_than_one_can_hold_in_mind() -> None:
    found = [
        f"{path.relative_to(ROOT)} has {lines} lines"
        for path in sources(*PYTHON)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MODULE_LINES_MAX
    ]
    nothing(found)


def test_no_function_is_longer_than_a_screen() -> None:
    nothing(gather(long_functions, *PYTHON))


def test_every_module_says_what_it_owns() -> None:
    nothing(gather(silent_modules, *PRODUCT, "bench"))


def test_a_package_holds_its_docstring_only() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in sources(*PRODUCT)
        if path.name == "__init__.py"
        for line, what in busy_packages(ast.parse(path.read_text(encoding="utf-8")))
    ]
    nothing(found)


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in sources(*PRODUCT)}
    nothing([folder for folder in sorted(folders) if not (folder / "__init__.py").exists()])


def test_names_say_what_a_thing_is() -> None:
    nothing(gather(nameless_things, *PRODUCT))
    nothing([path for path in sources(*PYTHON) if NAMELESS & set(path.stem.split("_"))])


def test_imports_stand_at_the_top() -> None:
    nothing(gather(late_imports, "engine", "actors"))
    nothing(gather(type_checking, *PYTHON))


def test_the_engine_has_no_hidden_input() -> None:
    nothing(gather(impure_calls, "engine"))
    nothing(gather(set_loops, "engine"))
    nothing(gather(async_code, "engine"))


def test_the_present_is_the_last_argument() -> None:
    nothing(gather(early_now, "engine"))


def test_every_limit_is_used() -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for path in sources(*PRODUCT)
        if path != ROOT / "engine" / "limits.py"
    )
    nothing([name for name in limits() if not re.search(rf"\b{name}\b", code)])


def test_tests_neither_sleep_nor_pretend() -> None:
    nothing(gather(sleeps_and_mocks, "tests"))


def test_files_of_tests_have_names_of_their_own() -> None:
    names = [path.name for path in sources("tests") if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))
    assert "__init__.py" not in names


def test_no_text_names_a_machine_or_leaves_work_open() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in texts()
        for line, what in unfit_text(path.read_text(encoding="utf-8"))
    ]
    nothing(found)


def broken(rule: Callable[[ast.Module], Iterator[Finding]], source: str) -> int:
    return len(list(rule(ast.parse(source))))


def test_each_rule_finds_what_it_is_for() -> None:
    assert broken(long_functions, "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX) == 1
    assert broken(silent_modules, "x = 1") == 1
    assert broken(busy_packages, '"""A package."""\nimport json') == 1
    assert broken(nameless_things, "class CustomerManager: ...\ndef handle(): ...") == 2
    assert broken(late_imports, "def f():\n    import json") == 1
    assert broken(type_checking, "from typing import TYPE_CHECKING\nif TYPE_CHECKING: ...") == 2
    assert broken(impure_calls, "def f(x):\n    global y\n    return hash(x), list({1, 2})") == 3
    assert broken(set_loops, "a = [x for x in {1, 2}]\nfor x in set(a): ...") == 2
    assert broken(async_code, "async def f():\n    await g()") == 2
    assert broken(early_now, "def f(now, program): ...\ndef g(program, now): ...") == 1
    assert broken(sleeps_and_mocks, "from unittest import mock\ntime.sleep(1)") == 2
    assert len(list(unfit_text("one\n# TO" + "DO: later\n/wor" + "k/main"))) == 2


def test_each_rule_lets_good_code_be() -> None:
    good = '"""Doc."""\n\ndef close(profile, now):\n    return sorted({1, 2}), len({3})\n'
    rules = (long_functions, silent_modules, nameless_things, late_imports, impure_calls, set_loops)
    assert [rule.__name__ for rule in rules if broken(rule, good)] == []
    assert list(unfit_text("# TO" + "DO(ana): later")) == []
