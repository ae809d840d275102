"""Every bound in one place, so that related bounds can be compared.

Sizes are bytes, counts end in `_max`, durations in `_ms`.
"""

from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS

# What a client may send. The first two are Segment's, which its clients respect.
BODY_BYTES_MAX = 500 * 1024
ITEM_BYTES_MAX = 32 * 1024
ITEM_DEPTH_MAX = 32
ITEM_KEYS_MAX = 1_000
BATCH_ITEMS_MAX = 2_500
ID_LENGTH_MAX = 256
NAME_LENGTH_MAX = 256
FUTURE_SKEW_MS_MAX = DAY_MS  # an event further ahead of the clock than this is a wrong clock

# What one customer may hold.
SEEN_KEEP_MS = 48 * HOUR_MS  # message ids remembered for dedup; clients retry for up to 12 hours
SEEN_MAX = 10_000
HISTORY_NAMES_MAX = 500
HISTORY_RECENT_MAX = 1_000
ENGAGEMENT_RECENT_MAX = 200
LEDGER_MAX = 1_000
SENDS_MAX = 200
TRAITS_MAX = 1_000
INSTANCES_MAX = 100
PENDING_MAX = 100

# What one step may do.
STEP_MOVES_MAX = 200  # moves over all journeys for one input; more is a loop without a wait
RECORDS_MAX = 1_000
SOLVER_ROUNDS_MAX = 500
SOLVER_HORIZON_MS = 400 * DAY_MS

SESSION_MS_DEFAULT = 30 * MINUTE_MS

assert ITEM_BYTES_MAX < BODY_BYTES_MAX
assert SEEN_KEEP_MS >= DAY_MS
assert STEP_MOVES_MAX < RECORDS_MAX
assert SENDS_MAX <= LEDGER_MAX
