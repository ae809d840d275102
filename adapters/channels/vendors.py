"""Libraries that only some channels need, imported when such a channel is made.

Every command that opens a workspace loads the table of adapters; those that send nothing must not
wait for cryptography and HTTP/2, nor miss what is not installed.
"""

from importlib import import_module
from typing import Any

from engine.errors import Problem, ProgramError


def load(name: str) -> Any:  # noqa: ANN401 - what is in a library, its own types say
    """Import a library that is always installed with us."""
    return import_module(name)


def load_extra(name: str, extra: str) -> Any:  # noqa: ANN401 - as above
    """Import a library of an optional extra. Raises ProgramError where it is not there."""
    try:
        return import_module(name)
    except ImportError:
        message = f"this adapter needs the library {name}, which is not installed"
        hint = f"pip install 'nextbeat[{extra}]'"
        raise ProgramError([Problem("", message, hint)]) from None
