-- Who is in which segment, as the journal gives it.
CREATE TABLE members (
    segment TEXT NOT NULL,
    customer TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (segment, customer)
) WITHOUT ROWID;
CREATE INDEX members_by_customer ON members (customer);

-- How many came into a segment and left it, by the quarter of an hour that begins at `at`: a day
-- begins at such an instant in every time zone.
CREATE TABLE crossings (
    segment TEXT NOT NULL,
    at INTEGER NOT NULL,
    entered INTEGER NOT NULL,
    left INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (segment, at)
) WITHOUT ROWID;

-- How far the customers have been looked at since the segments changed: one row, or none.
CREATE TABLE review (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    cursor TEXT NOT NULL,
    total INTEGER NOT NULL,
    looked INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    checksum INTEGER NOT NULL
);
