-- Who was erased, as keyed hashes: what arrives late about them is refused.
CREATE TABLE tombstones (
    identity BLOB PRIMARY KEY,
    erased_at INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;

-- What was erased when; `scope` says who it is until it is done.
CREATE TABLE erasures (
    number INTEGER PRIMARY KEY,
    asked_at INTEGER NOT NULL,
    erased_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    entries INTEGER NOT NULL,
    scope BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE INDEX erasures_open ON erasures (number) WHERE state <> 'done';

-- An erasure asks for all identities of a customer.
CREATE INDEX identities_by_customer ON identities (customer);

-- The key of the hashes, of this file alone.
INSERT INTO meta (name, value, checksum) VALUES ('salt', randomblob(32), 0);
UPDATE meta SET checksum = row_checksum(name, value) WHERE name = 'salt';
