-- Who is where in which journey: before which instruction of which version, as the journal gives it.
CREATE TABLE stays (
    customer TEXT NOT NULL,
    instance INTEGER NOT NULL,
    journey TEXT NOT NULL,
    version TEXT NOT NULL,
    position INTEGER NOT NULL,
    entered_at INTEGER NOT NULL,
    PRIMARY KEY (customer, instance)
) WITHOUT ROWID;

-- Whether the table has everybody: of a store that is older it has nobody before the next start.
INSERT INTO meta (name, value, checksum) VALUES ('stays_filled', 0, 0);
UPDATE meta SET value = 1 WHERE name = 'stays_filled' AND NOT EXISTS (SELECT 1 FROM journal);
UPDATE meta SET checksum = row_checksum(name, value) WHERE name = 'stays_filled';
