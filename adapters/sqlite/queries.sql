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
SELECT message_id, customer, channel, state, attempts, body, detail, code, provider, provider_id
FROM outbox
WHERE state NOT IN ('sent', 'failed', 'expired', 'in_doubt') ORDER BY number;

-- name: messages
SELECT
    o.message_id, o.customer, o.channel, o.state, o.attempts, o.body, o.detail, o.code,
    o.provider, o.provider_id
FROM json_each(?1) AS wanted CROSS JOIN outbox AS o ON o.message_id = wanted.value;

-- name: messages_by_provider
SELECT
    o.message_id, o.customer, o.channel, o.state, o.attempts, o.body, o.detail, o.code,
    o.provider, o.provider_id
FROM json_each(?2) AS wanted CROSS JOIN outbox AS o
ON o.provider_id = wanted.value AND o.provider_id <> ''
WHERE o.provider = ?1;

-- name: addressees
SELECT customer, body FROM outbox
WHERE number > (SELECT coalesce(max(number), 0) FROM outbox) - ?3
AND channel IN (SELECT value FROM json_each(?2)) AND instr(body, CAST(?1 AS BLOB)) > 0
ORDER BY number DESC;

-- name: dead_letters
SELECT message_id, customer, channel, state, attempts, body, detail, code, provider, provider_id
FROM outbox WHERE state IN ('failed', 'expired', 'in_doubt') AND channel NOT LIKE '/%'
AND (?1 = '' OR state = ?1) AND (?2 = '' OR channel = ?2) AND (?3 = '' OR customer = ?3)
AND (?4 = '' OR number < (SELECT number FROM outbox WHERE message_id = ?4))
ORDER BY number DESC LIMIT ?5;

-- name: spending
SELECT channel, micros FROM spending WHERE day = ?1;

-- name: tail
SELECT j.seq, j.customer, j.prev, j.at, p.version, j.input, j.records
FROM journal AS j JOIN programs AS p ON p.id = j.program
WHERE j.seq > ?1 AND j.input IS NOT NULL ORDER BY j.seq LIMIT ?2;

-- name: entries
WITH RECURSIVE walk (seq, prev, step) AS (
    SELECT seq, prev, input IS NOT NULL FROM journal WHERE seq = ?1
    UNION ALL
    SELECT j.seq, j.prev, walk.step + (j.input IS NOT NULL)
    FROM walk JOIN journal AS j ON j.seq = walk.prev
    WHERE walk.step < ?2 AND j.seq > (SELECT value FROM meta WHERE name = 'retired_seq')
)
SELECT j.seq, j.customer, j.prev, j.at, p.version, j.input, j.records
FROM walk CROSS JOIN journal AS j ON j.seq = walk.seq JOIN programs AS p ON p.id = j.program
WHERE j.input IS NOT NULL
ORDER BY j.seq DESC LIMIT ?2;

-- The tags are `actors.rows.WHO_IS_WHO`. The rows of a range are few enough for others to get turns.
-- name: mentioning
WITH portion AS MATERIALIZED (
    SELECT seq, customer, input FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?3
), found AS (
    SELECT customer, max(seq) AS seq FROM portion
    WHERE substr(input, 3, 4) IN (
        x'6c696e6b', x'756e6c69', x'6d657267', x'64657061', x'72656675', x'72657374', x'61627269'
    )
    AND EXISTS (SELECT 1 FROM json_each(?2) WHERE instr(portion.input, CAST(value AS BLOB)))
    GROUP BY customer
)
SELECT
    (SELECT coalesce(max(seq), 0) FROM portion),
    (SELECT json_group_object(customer, seq) FROM found);

-- name: remembering
WITH portion AS MATERIALIZED (
    SELECT customer, body FROM customers WHERE customer > ?1 ORDER BY customer LIMIT ?3
)
SELECT
    (SELECT coalesce(max(customer), '') FROM portion),
    (
        SELECT json_group_array(customer) FROM portion
        WHERE EXISTS (SELECT 1 FROM json_each(?2) WHERE instr(portion.body, CAST(value AS BLOB)))
    );

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

-- name: acts
SELECT number, at, who, act, subject, detail FROM acts
WHERE {filters} ORDER BY number DESC LIMIT ?;

-- Entries are looked at in order, so that all before one that is kept are gone.
-- name: old_entries
WITH next AS (
    SELECT seq, at FROM journal
    WHERE seq > (SELECT value FROM meta WHERE name = 'retired_seq') ORDER BY seq LIMIT ?2
)
SELECT max(seq) FROM next WHERE seq <= (SELECT value FROM meta WHERE name = 'covered_seq')
AND seq < coalesce((SELECT min(seq) FROM next WHERE at >= ?1), 9223372036854775807);

-- name: old_decisions
SELECT number FROM decisions WHERE at < ?1 ORDER BY at LIMIT ?2;

-- name: old_messages
SELECT message_id, body FROM outbox
WHERE state IN ('sent', 'failed', 'expired', 'in_doubt') ORDER BY number LIMIT ?1;

-- name: old_quarantine
SELECT number FROM (SELECT number, received_at FROM quarantine ORDER BY number LIMIT ?2)
WHERE received_at < ?1;

-- name: retired
SELECT name, value FROM meta
WHERE name IN ('retired_seq', 'events_from', 'decisions_from', 'outbox_from');

-- name: acts_noted
SELECT (SELECT value FROM meta WHERE name = 'acts');
-- name: salt
SELECT value FROM meta WHERE name = 'salt';

-- name: tombstones
SELECT identity, erased_at FROM tombstones;

-- name: erasures_open
SELECT number, asked_at, erased_at, state, entries, scope FROM erasures
WHERE state <> 'done' ORDER BY number;

-- name: erasures_last
SELECT coalesce(max(number), 0) FROM erasures;

-- name: erasure
SELECT number, asked_at, erased_at, state, entries, scope FROM erasures WHERE number = ?1;

-- name: links_of
SELECT namespace, value FROM identities WHERE customer = ?1 ORDER BY namespace, value;

-- name: programs
SELECT version, at, source FROM programs WHERE source IS NOT NULL ORDER BY at, id;

-- name: catalogue
SELECT CAST(kind AS BLOB), CAST(id AS BLOB), body, checksum FROM catalogue
WHERE (kind, id) > (?1, ?2) ORDER BY kind, id LIMIT ?3;

-- name: catalogue_of
SELECT CAST(kind AS BLOB), CAST(id AS BLOB), body, checksum FROM catalogue
WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3;
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

-- name: stays_filled
SELECT value FROM meta WHERE name = 'stays_filled';

-- name: stay_counts
SELECT journey, version, position, count(*), count(DISTINCT customer) FROM stays
GROUP BY journey, version, position ORDER BY journey, version, position;

-- name: journey_sizes
SELECT journey, count(DISTINCT customer) FROM stays GROUP BY journey ORDER BY journey;

-- name: stays
SELECT customer, instance, journey, version, position, entered_at FROM stays
WHERE (customer, instance) > (?1, ?2) AND journey = ?3 ORDER BY customer, instance LIMIT ?4;

-- name: review
SELECT version, cursor, total, looked, changed, began_at, ended_at FROM review;
