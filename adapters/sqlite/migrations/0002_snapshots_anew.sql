-- What snapshots hold has changed its form: they are made again from the journal.
DELETE FROM customers;
UPDATE meta SET value = 0 WHERE name = 'covered_seq';
