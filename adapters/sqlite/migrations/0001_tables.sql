-- Everything one shard remembers. The journal is the truth; the rest is derived from it in the same
-- transaction, so that it can be searched.

-- The workspaces that were in force. `source` is NULL where only an entry has named the version.
CREATE TABLE programs (
    id INTEGER PRIMARY KEY,
    version TEXT NOT NULL UNIQUE,
    at INTEGER,
    source BLOB
);

-- One row for each input. A customer's history is walked through `prev`, so an entry costs one
-- append and no index. `hash` chains each row to the one before; see adapters/sqlite/chain.py.
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    customer TEXT NOT NULL,
    prev INTEGER NOT NULL,
    at INTEGER NOT NULL,
    program INTEGER NOT NULL,
    input BLOB,
    records BLOB,
    hash BLOB NOT NULL
);

-- `number` is the order of storing. The three indexes that begin with a word of few values, and the
-- one on `at`, are appended to in a few places; only two are written at random.
CREATE TABLE decisions (
    number INTEGER PRIMARY KEY,
    decision_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    customer TEXT NOT NULL,
    at INTEGER NOT NULL,
    journey TEXT NOT NULL,
    message TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    channel TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX decisions_by_id ON decisions (decision_id);
CREATE INDEX decisions_by_customer ON decisions (customer, at);
CREATE INDEX decisions_by_reason ON decisions (reason, at);
CREATE INDEX decisions_by_journey ON decisions (journey, at);
CREATE INDEX decisions_by_time ON decisions (at);

CREATE TABLE timers (
    at INTEGER NOT NULL,
    customer TEXT NOT NULL,
    timer INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (at, customer, timer)
) WITHOUT ROWID;

CREATE TABLE outbox (
    number INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    customer TEXT NOT NULL,
    channel TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    detail TEXT NOT NULL,
    body BLOB NOT NULL
);
-- Whatever is not known to be done is open: a state this file does not know is not forgotten.
CREATE INDEX outbox_open ON outbox (number)
WHERE state NOT IN ('sent', 'failed', 'expired', 'in_doubt');

CREATE TABLE customers (
    customer TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    body BLOB NOT NULL
);

CREATE TABLE identities (
    namespace TEXT NOT NULL,
    value TEXT NOT NULL,
    customer TEXT NOT NULL,
    PRIMARY KEY (namespace, value)
) WITHOUT ROWID;

CREATE TABLE quarantine (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at INTEGER NOT NULL,
    source TEXT NOT NULL,
    code TEXT NOT NULL,
    path TEXT NOT NULL,
    message TEXT NOT NULL,
    payload BLOB NOT NULL
);

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('covered_seq', 0);
