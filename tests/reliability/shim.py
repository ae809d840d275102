"""The recorder between a process and its disk: how it is built and what it wrote down.

`shim.c` says what it does and what it is told by.
"""

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

_SOURCE = Path(__file__).with_name("shim.c")
_HEAD = struct.Struct("<cHqq")
WITH_DATA = b"WR"


class Operation(NamedTuple):
    """One thing that was done to a file: a write (W), sync, truncation, unlink or rename."""

    kind: str
    path: str
    offset: int
    data: bytes


def build_shim(folder: Path) -> Path:
    """Compile it; skips the test where that can't be done."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("the recorder between a process and its disk needs Linux and a C compiler (cc)")
    shim = folder / "shim.so"
    flags = ("-shared", "-fPIC", "-O2", "-Wall", "-Werror")
    subprocess.run([compiler, *flags, "-o", shim, _SOURCE, "-ldl"], check=True)
    return shim


def read_log(path: Path) -> Iterator[Operation]:
    """Read what was recorded, in order."""
    log = path.read_bytes()
    place = 0
    while place < len(log):
        kind, path_size, offset, size = _HEAD.unpack_from(log, place)
        place += _HEAD.size
        name = log[place : place + path_size].decode()
        place += path_size
        data = log[place : place + size] if kind in WITH_DATA else b""
        place += len(data)
        yield Operation(kind.decode(), name, offset, data)
