"""What is tested is what is shipped: in CI the installed wheel, not the checkout."""

import importlib
import os
import sysconfig
from pathlib import Path

import pytest


@pytest.mark.skipif(
    os.environ.get("NEXTBEAT_INSTALLED") != "1", reason="only where the wheel is under test"
)
@pytest.mark.parametrize("package", ["engine", "actors", "adapters"])
def test_the_tests_import_the_installed_wheel(package: str) -> None:
    installed = Path(sysconfig.get_path("purelib"))
    origin = importlib.import_module(package).__file__
    assert origin is not None
    assert Path(origin).is_relative_to(installed)
