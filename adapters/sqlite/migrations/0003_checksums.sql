-- SQLite does not notice a flipped bit. What the journal can prove is compared with it; what it
-- can't, or what must be believed before it could, carries a checksum (adapters/sqlite/checksums.py).
ALTER TABLE customers ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE customers SET checksum = row_checksum(customer, seq, body);

ALTER TABLE programs ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE programs SET checksum = row_checksum(id, version, at, source);

-- Of a message only what changes on its way: the rest is in the journal.
ALTER TABLE outbox ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET checksum = row_checksum(message_id, state, attempts, detail);

ALTER TABLE quarantine ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE quarantine
SET checksum = row_checksum(received_at, source, code, path, message, payload) + number;
-- The number is not known before the row is stored.
CREATE TRIGGER quarantine_numbered AFTER INSERT ON quarantine BEGIN
UPDATE quarantine SET checksum = checksum + new.number WHERE number = new.number;
END;

ALTER TABLE identities ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE identities SET checksum = row_checksum(namespace, value, customer);

ALTER TABLE meta ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE meta SET checksum = row_checksum(name, value);
