"""How much a shard may hold, and how closely it watches the clock.

Read by `actors.runtime`, given by whoever builds it.
"""

import msgspec

from actors.directory import MEMORY_BYTES_MAX

QUEUE_MAX = 50_000  # inputs taken and not yet decided, over all customers
TAIL_MAX = 150_000  # entries no snapshot covers before snapshots are written faster
HOUSEKEEPING_MS = 500


class Settings(msgspec.Struct, frozen=True):
    """How much a shard may hold, and how closely it watches the clock."""

    memory_bytes_max: int = MEMORY_BYTES_MAX
    queue_max: int = QUEUE_MAX
    tail_max: int = TAIL_MAX
    nap_ms: int = 20  # how long the timer loop sleeps at most, in business time
    snapshot_after_ms: int = 10_000
    house_ms: int = HOUSEKEEPING_MS
    quiet: bool = False  # take inputs only: timers and messages stay in the store
