-- Every read of the store, by name. Reads on the hot path (load, timers, resolve) give one row of
-- JSON however many they find: stepping through rows takes the interpreter's lock once for each.

-- name: state
SELECT
    coalesce((SELECT max(seq) FROM journal), 0),
    (SELECT value FROM meta WHERE name = 'covered_seq');

-- name: hash_at
SELECT hash FROM journal WHERE seq = ?1;

-- name: hash_before
SELECT hash FROM journal WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1;

-- name: versions
SELECT version, id FROM programs;

-- name: version_texts
SELECT id, CAST(version AS BLOB) FROM programs;

-- name: chain
SELECT seq, CAST(customer AS BLOB), prev, at, program, input, records, hash
FROM journal WHERE seq > ?1 AND seq <= ?2 ORDER BY seq;

-- name: load
SELECT json_group_array(json_array(
    wanted.value, CAST(c.seq AS INTEGER), hex(c.body), CAST(c.checksum AS INTEGER)
))
FROM json_each(?1) AS wanted CROSS JOIN customers AS c ON c.customer = wanted.value;

-- name: timers
SELECT json_group_array(json_array(at, customer, timer, seq, place))
FROM (
    SELECT at, customer, timer, seq, place FROM timers
    WHERE at > ?1 AND at <= ?2 ORDER BY at, seq, place LIMIT ?3
);

-- name: resolve
SELECT json_group_array(json_array(i.namespace, i.value, i.customer))
FROM json_each(?1) AS wanted CROSS JOIN identities AS i
ON i.namespace = json_extract(wanted.value, '$[0]')
AND i.value = json_extract(wanted.value, '$[1]');

-- name: outbox_open
SELECT message_id, customer, channel, state, attempts, body FROM outbox
WHERE state NOT IN ('sent', 'failed', 'expired', 'in_doubt') ORDER BY number;

-- name: tail
SELECT j.seq, j.customer, j.prev, j.at, p.version, j.input, j.records
FROM journal AS j JOIN programs AS p ON p.id = j.program
WHERE j.seq > ?1 ORDER BY j.seq LIMIT ?2;

-- name: entries
WITH RECURSIVE walk (seq, prev, step) AS (
    SELECT seq, prev, 1 FROM journal WHERE seq = ?1
    UNION ALL
    SELECT j.seq, j.prev, walk.step + 1 FROM walk JOIN journal AS j ON j.seq = walk.prev
    WHERE walk.step < ?2
)
SELECT j.seq, j.customer, j.prev, j.at, p.version, j.input, j.records
FROM walk CROSS JOIN journal AS j ON j.seq = walk.seq JOIN programs AS p ON p.id = j.program
ORDER BY walk.step LIMIT ?2;

-- name: decision
SELECT decision_id, seq, customer, at, journey, message, outcome, reason, channel, body
FROM decisions WHERE decision_id = ?1;

-- name: decisions
SELECT
    decision_id, seq, customer, at, journey, message, outcome, reason, channel, body, number
FROM decisions INDEXED BY {index}
WHERE {filters} ORDER BY at DESC, number DESC LIMIT ?;

-- name: quarantine
SELECT number, received_at, source, code, path, message, payload FROM quarantine
WHERE number < ?1 ORDER BY number DESC LIMIT ?2;

-- name: programs
SELECT version, at, source FROM programs WHERE source IS NOT NULL ORDER BY at, id;

-- name: customers
SELECT customer FROM customers WHERE customer > ?1 ORDER BY customer LIMIT ?2;

-- name: customer_count
SELECT count(*) FROM customers;

-- name: segment_sizes
SELECT segment, count(*) FROM members GROUP BY segment;

-- name: members
SELECT customer, since FROM members
WHERE segment = ?1 AND customer > ?2 ORDER BY customer LIMIT ?3;

-- name: crossings
SELECT segment, sum(entered), sum(left) FROM crossings
WHERE at >= ?1 GROUP BY segment ORDER BY segment;

-- name: review
SELECT version, cursor, total, looked, changed, began_at, ended_at FROM review;
