"""STOP and its national words: what a message means that consists of one of them alone.

Called by `adapters.channels.whose` with what people write. The words, and where they are from, are
in `stop_words.toml`.
"""

import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import resources
from unicodedata import category, normalize

_LENGTH_MAX = 40  # of a text that may be a word; nobody looks further
_GAPS = re.compile(r"[\W_]+")


class Word(StrEnum):
    """What a word asks for, spelt as providers spell it."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


def read_word(text: str) -> Word | None:
    """Say what a whole message asks for; None where it says anything else."""
    return _words().get(_plain(text)) if len(text) <= _LENGTH_MAX else None


def _plain(text: str) -> str:
    """Drop what people write in different ways: case, accents, punctuation, spaces."""
    spelt = normalize("NFKD", text.casefold())
    bare = "".join(one for one in spelt if not category(one).startswith("M"))
    return _GAPS.sub(" ", bare).strip()


@cache
def _words() -> Mapping[str, Word]:
    text = resources.files("adapters").joinpath("channels", "stop_words.toml").read_text("utf-8")
    table: dict[str, dict[str, list[str]]] = tomllib.loads(text)
    # STOP last: where languages disagree, silence is the safe reading.
    return {
        _plain(written): word
        for word in (Word.HELP, Word.START, Word.STOP)
        for language in table[word.lower()].values()
        for written in language
    }
