"""Opt-out registries from files of hashes: SHA-256 in hex of each address, one a line.

Called by `adapters.app` at start and when a workspace is read again, in a thread. What is kept is
the first 64 bits of each hash in one sorted array: ten million take 80 MB. That two addresses share
them is one in 10^12 at that size, and then one is left alone that need not be.

*Rules*
- Addresses are hashed as E.164 or as e-mail in small letters; with a key it is HMAC-SHA-256.
- A line `# as_of: 2026-03-01` says when the list was made; without it, it is the file's own time.
- A line that is no hash refuses the file: half a list would let through what the other half stops.
- A file in order (`sort -u`) is read as it is; another one takes about 400 MB more for ten million
  while it is put in order.
"""

import gzip
import hmac
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from engine.errors import Problem, ProgramError
from engine.instants import SECOND_MS
from engine.program.dates import read_moment, to_instant
from engine.program.program import Program, Registry

_HASH_DIGITS = 64
_KEPT_DIGITS = 16
_HEX = frozenset("0123456789abcdefABCDEF")
_AS_OF = "as_of:"


class HashedRegistry:
    """One list in memory. `as_of` is when it was made, epoch ms."""

    def __init__(self, hashes: "array[int]", as_of: int, key: bytes) -> None:
        self.as_of = as_of
        self._hashes = hashes
        self._key = key

    def __len__(self) -> int:
        return len(self._hashes)

    def lists(self, address: str) -> bool:
        """Say whether an address, as registries hash it, is on the list."""
        raw = address.encode("utf-8", "replace")
        digest = hmac.digest(self._key, raw, sha256) if self._key else sha256(raw).digest()
        wanted = int.from_bytes(digest[: _KEPT_DIGITS // 2], "big")
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and self._hashes[place] == wanted


def load_registries(
    program: Program, folder: Path, environment: Mapping[str, str]
) -> dict[str, HashedRegistry]:
    """Read every registry a workspace names; paths are from `folder`. Raises ProgramError."""
    problems: list[Problem] = []
    found: dict[str, HashedRegistry] = {}
    for rule in program.registries:
        path = f"registries.{rule.name}"
        key = environment.get(rule.key_variable, "") if rule.key_variable else ""
        if rule.key_variable and not key:
            message = f"the environment variable {rule.key_variable} is not set"
            problems.append(Problem(f"{path}.key", message, f"set {rule.key_variable}"))
            continue
        try:
            found[rule.name] = _load(rule, folder / rule.file, key.encode())
        except FileNotFoundError as error:
            message = f"{rule.file} can't be read: {error.strerror}"
            problems.append(Problem(f"{path}.file", message, _suggest_file(rule.file, folder)))
        except (OSError, EOFError, ValueError) as error:
            hint = "write SHA-256 in hex, one a line; the file may be packed with gzip"
            problems.append(Problem(f"{path}.file", f"{rule.file} can't be read: {error}", hint))
    if problems:
        raise ProgramError(problems)
    return found


def _suggest_file(name: str, folder: Path) -> str:
    """Say which file beside the one that is missing may be meant, or where it belongs."""
    wanted = folder / name
    beside = [file.name for file in wanted.parent.glob("*") if file.is_file()]
    near = get_close_matches(wanted.name, beside, n=1)
    if near:
        return f"did you mean {str(Path(name).with_name(near[0]))!r}?"
    return f"put {wanted.name} into {wanted.parent.as_posix()}"


def _load(rule: Registry, file: Path, key: bytes) -> HashedRegistry:
    opened = gzip.open if rule.file.endswith(".gz") else open
    with opened(file, "rt", encoding="ascii") as lines:
        hashes, as_of = _read(lines)
    if as_of is None:
        as_of = int(file.stat().st_mtime * SECOND_MS)
    return HashedRegistry(hashes, as_of, key)


def _read(lines: Iterable[str]) -> tuple["array[int]", int | None]:
    hashes = array("Q")
    as_of: int | None = None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("#"):
            as_of = _read_as_of(text, number) if _AS_OF in text else as_of
        elif text:
            if len(text) != _HASH_DIGITS or not _HEX.issuperset(text):
                message = f"line {number} is no SHA-256 in hex"
                raise ValueError(message)
            hashes.append(int(text[:_KEPT_DIGITS], 16))
    if any(one > other for one, other in pairwise(hashes)):
        hashes = array("Q", sorted(hashes))
    return hashes, as_of


def _read_as_of(text: str, number: int) -> int:
    moment = read_moment(text.partition(_AS_OF)[2].strip(), None, None)
    if moment is None:
        message = f"line {number} says no date after {_AS_OF}"
        raise ValueError(message)
    return to_instant(moment)
