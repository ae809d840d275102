"""One process at a time on a data directory.

Taken by the store before it opens the file. The kernel lets go of the lock when its last holder is
gone, however it died, so there is nothing to clean up.
"""

import fcntl
import os
import time
from pathlib import Path

from engine.errors import StoreError

LOCK_NAME = "lock"
_PAUSE_S = 0.05


class DataLock:
    """A held lock on a data directory."""

    def __init__(self, folder: Path, *, wait_s: float) -> None:
        """Take the lock, or raise StoreError. It blocks for up to `wait_s`.

        Waiting covers a predecessor that was killed and whose writer is ending its last commit.
        """
        self.descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        give_up_at = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= give_up_at:
                    holder = os.read(self.descriptor, 32).decode("ascii", "replace").strip()
                    os.close(self.descriptor)
                    raise StoreError(
                        f"{folder} is in use by process {holder or 'unknown'}:"
                        " stop it first, or choose another data directory"
                    ) from None
                time.sleep(_PAUSE_S)
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Let go."""
        os.close(self.descriptor)
