-- What a provider calls a message, so that what it tells of it later finds its way; and the code a
-- message ended with. Of messages that left before, the provider's name is not known.
ALTER TABLE outbox ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN provider TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN provider_id TEXT NOT NULL DEFAULT '';
UPDATE outbox
SET checksum = row_checksum(message_id, state, attempts, detail, code, provider, provider_id);
CREATE INDEX outbox_by_provider ON outbox (provider_id) WHERE provider_id <> '';
-- Dead letters are few beside what was sent, and are looked for among all of it.
CREATE INDEX outbox_dead ON outbox (number) WHERE state IN ('failed', 'expired', 'in_doubt');

-- What was spent on a channel on a day of the workspace's calendar: days since 1970-01-01.
CREATE TABLE spending (
    channel TEXT NOT NULL,
    day INTEGER NOT NULL,
    micros INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (day, channel)
) WITHOUT ROWID;
