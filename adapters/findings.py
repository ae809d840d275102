"""What is wrong with a data folder, as `adapters.verify` and its parts find it."""

import msgspec


class Found(msgspec.Struct, frozen=True):
    """Something that is wrong: where, what, and what to do about it."""

    part: str
    seq: int | None
    row: str
    message: str
    hint: str


class Findings:
    """What was found to be wrong."""

    def __init__(self) -> None:
        self._found: list[Found] = []

    def __len__(self) -> int:
        """Count them."""
        return len(self._found)

    def add(
        self, part: str, message: str, hint: str = "", *, seq: int | None = None, row: str = ""
    ) -> None:
        """Note one."""
        self._found.append(Found(part, seq, row, message, hint))

    def take(self, found: list[Found]) -> None:
        """Note what another part found."""
        self._found += found

    def ordered(self) -> list[Found]:
        """Give what was found, by the entries it is about; first what is about none."""
        return sorted(self._found, key=lambda one: -1 if one.seq is None else one.seq)
