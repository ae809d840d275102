"""Space that is held back on the disk, to be given up when there is no more.

Kept by the scribe. A full disk refuses commits, and it refuses what would end well too: the log
can't be folded into the file any more, nor the head be marked. So a file of nothing takes up the
room that needs, and goes when a commit is refused for lack of it. Until there is room to make it
anew the store takes nothing more, so that what it gave up is not eaten up by more of the same.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from engine.errors import StoreError

BALLAST_NAME = "ballast"
_SETTING = "NEXTBEAT_BALLAST_MIB"
_MIB = 1024 * 1024
_MIB_WANTED = 16  # as much as the log may hold while there is load
_SHARE_OF_DISK = 8  # on a small disk it takes no more than this part of it
_ROOM = 1.25  # made anew only where so many times its size is free: the rest is to work with


def read_ballast_bytes(environment: Mapping[str, str]) -> int:
    """Tell how much is to be held back. Raises StoreError where the setting is no number."""
    text = environment.get(_SETTING, "")
    if text and not (text.isascii() and text.isdigit()):
        raise StoreError(f"{_SETTING} is {text!r}: expected a whole number of MiB, 0 for none")
    return int(text or _MIB_WANTED) * _MIB


class Ballast:
    """The held-back space of one data folder. With a size of 0 there is none."""

    def __init__(self, folder: Path, bytes_wanted: int) -> None:
        self._path = folder / BALLAST_NAME
        self._bytes = bytes_wanted
        if bytes_wanted:
            disk = os.statvfs(folder)
            self._bytes = min(bytes_wanted, disk.f_blocks * disk.f_frsize // _SHARE_OF_DISK)
        self.is_held = False

    def hold(self) -> bool:
        """Make sure that the space is held, if there is room for it; says whether it is."""
        if not self.is_held:
            try:
                self.is_held = self._is_there() or self._make()
            except OSError:  # it was less than it seemed
                self.release()
        return self.is_held

    def _is_there(self) -> bool:
        try:
            return self._path.stat().st_size == self._bytes > 0
        except FileNotFoundError:
            return False

    def _make(self) -> bool:
        self._path.unlink(missing_ok=True)
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < self._bytes * _ROOM:
            return False
        if self._bytes:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._bytes)
            finally:
                os.close(descriptor)
        return True

    def release(self) -> None:
        """Give the space up."""
        self.is_held = False
        with suppress(OSError):  # where not even this can be done, there is nothing to win
            self._path.unlink(missing_ok=True)
