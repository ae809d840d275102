"""Every bound in one place, so that related bounds can be compared.

Sizes are bytes, counts end in `_max`, durations in `_ms`.
"""

from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

# What a client may send. The first two are Segment's, which its clients respect.
BODY_BYTES_MAX = 500 * 1024
ITEM_BYTES_MAX = 32 * 1024
ITEM_DEPTH_MAX = 32
ITEM_KEYS_MAX = 1_000
BATCH_ITEMS_MAX = 2_500
ID_LENGTH_MAX = 256
NAME_LENGTH_MAX = 256
PROOF_LENGTH_MAX = 1_000  # characters of what shows that a consent was given
FUTURE_SKEW_MS_MAX = DAY_MS  # an event further ahead of the clock than this is a wrong clock

INT_MIN, INT_MAX = -(2**63), 2**64 - 1  # what msgpack and most databases can hold

# What one customer may hold.
SEEN_KEEP_MS = 48 * HOUR_MS  # message ids remembered for dedup; clients retry for up to 12 hours
SEEN_MAX = 10_000
SEEN_PART_MS = 6 * HOUR_MS  # ids are forgotten in parts of this length …
SEEN_PART_MAX = 1_250  # … or of this many
HISTORY_NAMES_MAX = 500
SERIES_EXACT_MAX = 1_000  # instants of one event that windows see to the millisecond
SERIES_HOURS_MAX = 500  # hours before them
SERIES_DAYS_MAX = 400  # days before those
AMOUNT_MAX = 10**12  # a larger number is no amount, and is not added up
MEASURES_MAX = 300
DISTINCT_MAX = 1_000  # values of one distinct count; more are counted as that many
FIRSTS_MAX = 200  # values of which it is known when they came first
AFFINITY_NAMES_MAX = 50
TRAIT_TEXT_MAX = 256  # characters of a value that a trait keeps
TRAIT_WINDOW_MS_MAX = 400 * DAY_MS
ENGAGEMENT_RECENT_MAX = 200
REACH_MAX = 50  # addresses of which it is known that they were not reached
SOFT_BOUNCES_MAX = 5  # in a row, within the time below: then the address is given up
SOFT_BOUNCES_MS = 30 * DAY_MS
ABSENCES_MAX = 3  # times that an address was not on a channel: then it is given up there
UNREACHABLE_MS_DEFAULT = 7 * DAY_MS  # how long it is after the first; twice that after the second
LEDGER_MAX = 1_000
SENDS_MAX = 200
SENDS_EVENT_MAX = 10  # sends that keep the event of their journey, for a channel that fails later
TRAITS_MAX = 1_000
IDENTITIES_MAX = 100  # of one namespace
REFUSALS_MAX = 100
PARTING_ENTRIES_MAX = 200_000  # of the customer who is made two again, read at once
TRAIT_ITEMS_MAX = 500  # values of a list that is added to; the oldest go first
LOCALE_LENGTH_MAX = 35  # as the longest that BCP 47 recommends to have room for
INSTANCES_MAX = 100
VARIABLES_MAX = 50  # of one stay in a journey
VARIABLE_BYTES_MAX = 8 * 1024  # of one value, as JSON
PENDING_MAX = 100
ENTRIES_MAX = 100  # entries of one journey that are known with their instants
ENTRY_KEYS_MAX = 200  # keys of one journey of which the last entry is known; the oldest goes first
ENTRY_KEY_LENGTH_MAX = 256

# What one step may do.
STEP_MOVES_MAX = 200  # moves over all journeys for one input; more is a loop without a wait
EMITS_MAX = 20  # events that journeys make happen for one input; more is a loop without a wait
EMIT_BYTES_MAX = ITEM_BYTES_MAX  # of the properties of one
RECORDS_MAX = 20_000
AGENDA_ROUNDS_MAX = 3  # journeys that change the dates others begin by stop here
SEGMENT_ROUNDS_MAX = 10  # journeys that change the segments they are started by stop here
SOLVER_ROUNDS_MAX = 500
SOLVER_HORIZON_MS = 400 * DAY_MS

SESSION_MS_DEFAULT = 30 * MINUTE_MS

# What a journey may ask of somebody else's service, and be told.
CALL_TIMEOUT_MS_DEFAULT = 10 * SECOND_MS
CALL_TIMEOUT_MS_MAX = HOUR_MS
CALL_URL_MAX = 2_000  # characters, what is filled in included
CALL_HEADERS_MAX = 20
CALL_HEADER_MAX = 1_000  # characters of one value
CALL_BODY_BYTES_MAX = 32 * 1024
CALL_ANSWER_BYTES_MAX = 8 * 1024  # of an answer a journey keeps
CALLS_DEPTH_MAX = 50_000  # held in memory; beyond it the shard takes no new inputs
CALLS_OF_HOST_MAX = 16  # requests to one host at a time

# What waits on its way out, and what waits to be fetched.
OUTBOX_DEPTH_MAX = 100_000  # messages held in memory; beyond it the shard takes no new inputs
CHANNEL_FAULTS_MAX = 5  # of a channel on one message, in a way no channel should fail
RETRY_AFTER_MS_MAX = DAY_MS  # a provider that asks for a longer pause than this is not waited for
INBOX_KEEP_MAX = 200  # messages one customer may have lying in the inbox
INBOX_PAGE_MAX = 100
INBOX_SOCKETS_MAX = 10  # open sockets of one customer
INBOX_SOCKET_QUEUE_MAX = 100

# What a workspace may hold. A team of fifty journeys needs about a hundredth of each.
WORKSPACE_FILES_MAX = 2_000
WORKSPACE_FILE_BYTES_MAX = 1024 * 1024
WORKSPACE_VALUES_MAX = 200_000  # in one file, each use of an alias counted
WORKSPACE_DEPTH_MAX = 64
WORKSPACE_NAME_LENGTH_MAX = 256
CAP_COUNT_MAX = 500
BLACKOUT_DAYS_MAX = 400
REPEAT_MAX = 100  # times that a `repeat` step does its steps
SEGMENTS_MAX = 200
TRIAL_MS_MAX = 1_200 * DAY_MS  # how long time goes on in a test of a workspace
TRIAL_STEPS_MAX = 20_000  # inputs and timers of one; more is a journey that never rests
OUTLOOK_MAX = 100  # changes by time that are looked ahead at for one term of a segment

# What the catalogue may hold. Items are kept in memory as they are in the store: one of 200 bytes
# takes about 400 there.
CATALOGUE_ITEMS_MAX = 1_000_000  # of all kinds together
CATALOGUE_BYTES_MAX = 512 * 1024 * 1024  # of their fields
CATALOGUE_ITEM_BYTES_MAX = 8 * 1024
CATALOGUE_FIELDS_MAX = 100
CATALOGUE_BODY_BYTES_MAX = 64 * 1024 * 1024  # of one request that loads items
CATALOGUE_KINDS_MAX = 20
ENRICH_BYTES_MAX = 32 * 1024  # what one event is told of the things it names; more is left out
ENRICH_LIST_MAX = 100  # elements of a list of products that are looked up

# What one condition may be, and what it may look at. Nested macros multiply, so an inner list is
# shorter: 1,000 x 100 steps are some ten milliseconds at the very worst.
CEL_SOURCE_MAX = 16_384  # characters
CEL_NODES_MAX = 1_000
CEL_DEPTH_MAX = 24
CEL_MACROS_MAX = 2  # macros inside one another
CEL_LIST_MAX = 1_000  # elements a macro goes through; a longer list is absent
CEL_LIST_INNER_MAX = 100
CEL_TEXT_MAX = 65_536  # characters a condition may put together; a longer text is absent
CEL_VALUE_DEPTH_MAX = 64  # deeper values are never equal
CEL_PATTERN_MAX = 200
CEL_PATTERN_STATES_MAX = 500

# What one text of a message may take to render.
TEMPLATE_BYTES_MAX = 256 * 1024
TEMPLATE_LOCALS_BYTES_MAX = 256 * 1024
TEMPLATE_LOOPS_MAX = 10_000
TEMPLATE_DEPTH_MAX = 30

assert ENTRY_KEYS_MAX > INSTANCES_MAX  # who is in a journey is known to have entered
assert ITEM_BYTES_MAX < BODY_BYTES_MAX
assert SEEN_KEEP_MS >= DAY_MS
assert SEEN_PART_MS < SEEN_KEEP_MS
assert SEEN_PART_MAX * 8 <= SEEN_MAX
assert STEP_MOVES_MAX < RECORDS_MAX
assert SEGMENTS_MAX * 4 < RECORDS_MAX
assert CALL_TIMEOUT_MS_DEFAULT <= CALL_TIMEOUT_MS_MAX
assert CALL_ANSWER_BYTES_MAX <= ITEM_BYTES_MAX
assert CALLS_DEPTH_MAX <= OUTBOX_DEPTH_MAX
assert (EMITS_MAX + 1) * (MEASURES_MAX + SEGMENTS_MAX) < RECORDS_MAX
assert SENDS_MAX <= LEDGER_MAX
assert SENDS_EVENT_MAX <= SENDS_MAX
assert SERIES_DAYS_MAX * DAY_MS >= TRAIT_WINDOW_MS_MAX
assert AMOUNT_MAX * 1_000_000 < 2**63  # an amount in millionths is a 64-bit number
assert INBOX_PAGE_MAX <= INBOX_KEEP_MAX
assert INBOX_SOCKET_QUEUE_MAX >= INBOX_PAGE_MAX
assert CAP_COUNT_MAX <= LEDGER_MAX
assert WORKSPACE_NAME_LENGTH_MAX <= NAME_LENGTH_MAX
assert TRIAL_MS_MAX > SOLVER_HORIZON_MS
assert CATALOGUE_ITEM_BYTES_MAX <= ENRICH_BYTES_MAX
assert ENRICH_BYTES_MAX <= ITEM_BYTES_MAX
assert CATALOGUE_BODY_BYTES_MAX <= CATALOGUE_BYTES_MAX
assert CEL_LIST_INNER_MAX < CEL_LIST_MAX
assert CEL_VALUE_DEPTH_MAX > ITEM_DEPTH_MAX
