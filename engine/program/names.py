"""The names a workspace declares, and references to them.

Made by `check` and `compile`, asked by everything that checks a part of a workspace.
"""

from collections.abc import Iterable, Mapping

from engine.program.faults import Faults, quote, suggest
from engine.program.places import Path
from engine.program.plain import dict_or_none

_SECTIONS = ("channels", "message_types", "messages", "segments", "journeys")


class Names:
    """The names a workspace declares, by section, and references to them."""

    def __init__(self, raw: Mapping[str, object], faults: Faults) -> None:
        self._faults = faults
        self._known: dict[str, dict[str, None]] = {}
        for section in _SECTIONS:
            self._known[section] = dict.fromkeys(dict_or_none(raw.get(section)) or ())

    def has(self, section: str, name: str) -> bool:
        """Say whether a name is declared."""
        return name in self._known[section]

    def check(self, section: str, name: str, path: Path, *, at_key: bool = False) -> bool:
        """Note a name that is not declared, with what it may have meant."""
        if name in self._known[section]:
            return True
        noun = section.removesuffix("s").replace("_", " ")
        hint = suggest(name, self._known[section], section.replace("_", " "))
        self._faults.add(path, f"unknown {noun} {quote(name)}", hint, at_key=at_key)
        return False

    def check_all(self, section: str, names: Iterable[str], path: Path) -> None:
        """Note each name of a list that is not declared, and names that come twice."""
        seen: dict[str, None] = {}
        for index, name in enumerate(names):
            if name in seen:
                message = f"{quote(name)} is named twice"
                self._faults.add((*path, index), message, "once is enough")
            elif self.check(section, name, (*path, index)):
                seen[name] = None
