-- Up to which entry payloads were taken away for their age, and from which instants on everything is
-- there: what was derived from older entries may be gone.
INSERT INTO meta (name, value, checksum) VALUES
('retired_seq', 0, row_checksum('retired_seq', 0)),
('events_from', 0, row_checksum('events_from', 0)),
('decisions_from', 0, row_checksum('decisions_from', 0)),
('outbox_from', 0, row_checksum('outbox_from', 0));
