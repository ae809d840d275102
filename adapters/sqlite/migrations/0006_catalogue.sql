-- What is known of products, stores and content; events are told of it before they are journaled.
-- `body` is msgpack. No journal entry proves an item, so each carries a checksum.
CREATE TABLE catalogue (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
