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

-- The one way in. A group commit is a single INSERT of many rows into this view, and the triggers
-- deal them out. That makes a commit one statement, its own transaction, during which Python holds
-- no lock: separate statements take the interpreter's lock back three times each, and beside a busy
-- event loop every taking waits. `kind` is one of adapters/sqlite/intake.py.
CREATE VIEW intake AS
SELECT 0 AS kind, 0 AS a, 0 AS b, 0 AS c, 0 AS d, 0 AS e, 0 AS f, 0 AS g, 0 AS h, 0 AS i, 0 AS j;

CREATE TRIGGER intake_program INSTEAD OF INSERT ON intake WHEN new.kind = 1
BEGIN
    INSERT INTO programs (id, version, at, source) VALUES (new.a, new.b, new.c, new.d)
    ON CONFLICT (id) DO UPDATE SET at = excluded.at, source = excluded.source
    WHERE source IS NULL;
END;

CREATE TRIGGER intake_entry INSTEAD OF INSERT ON intake WHEN new.kind = 2
BEGIN
    INSERT INTO journal (seq, customer, prev, at, program, input, records, hash)
    VALUES (new.a, new.b, new.c, new.d, new.e, new.f, new.g, new.h);
END;

CREATE TRIGGER intake_decision INSTEAD OF INSERT ON intake WHEN new.kind = 3
BEGIN
    INSERT INTO decisions
    (decision_id, seq, customer, at, journey, message, outcome, reason, channel, body)
    VALUES (new.a, new.b, new.c, new.d, new.e, new.f, new.g, new.h, new.i, new.j);
END;

CREATE TRIGGER intake_timer_set INSTEAD OF INSERT ON intake WHEN new.kind = 4
BEGIN
    INSERT OR REPLACE INTO timers (at, customer, timer, seq, place)
    VALUES (new.a, new.b, new.c, new.d, new.e);
END;

CREATE TRIGGER intake_timer_cleared INSTEAD OF INSERT ON intake WHEN new.kind = 5
BEGIN
    DELETE FROM timers WHERE at = new.a AND customer = new.b AND timer = new.c;
END;

-- A message that is there already stays as it is: one id never leaves twice.
CREATE TRIGGER intake_outbox INSTEAD OF INSERT ON intake WHEN new.kind = 6
BEGIN
    INSERT INTO outbox (message_id, customer, channel, state, attempts, detail, body)
    VALUES (new.a, new.b, new.c, new.d, new.e, '', new.f)
    ON CONFLICT (message_id) DO NOTHING;
END;

CREATE TRIGGER intake_outbox_change INSTEAD OF INSERT ON intake WHEN new.kind = 7
BEGIN
    UPDATE outbox SET state = new.b, attempts = new.c, detail = new.d WHERE message_id = new.a;
END;

CREATE TRIGGER intake_snapshot INSTEAD OF INSERT ON intake WHEN new.kind = 8
BEGIN
    INSERT INTO customers (customer, seq, body) VALUES (new.a, new.b, new.c)
    ON CONFLICT (customer) DO UPDATE SET seq = excluded.seq, body = excluded.body;
END;

CREATE TRIGGER intake_link INSTEAD OF INSERT ON intake WHEN new.kind = 9
BEGIN
    INSERT INTO identities (namespace, value, customer) VALUES (new.a, new.b, new.c)
    ON CONFLICT (namespace, value) DO UPDATE SET customer = excluded.customer;
END;

CREATE TRIGGER intake_quarantined INSTEAD OF INSERT ON intake WHEN new.kind = 10
BEGIN
    INSERT INTO quarantine (received_at, source, code, path, message, payload)
    VALUES (new.a, new.b, new.c, new.d, new.e, new.f);
END;

CREATE TRIGGER intake_released INSTEAD OF INSERT ON intake WHEN new.kind = 11
BEGIN
    DELETE FROM quarantine WHERE number = new.a;
END;

CREATE TRIGGER intake_covered INSTEAD OF INSERT ON intake WHEN new.kind = 12
BEGIN
    UPDATE meta SET value = new.a WHERE name = 'covered_seq';
END;
