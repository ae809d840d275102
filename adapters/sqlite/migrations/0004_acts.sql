-- What people with the right to do so did here, by number and without gaps. Rows are only added.
CREATE TABLE acts (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    act TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE INDEX acts_by_subject ON acts (subject, number);
-- The number is not known before the row is stored. How many there are is known elsewhere too.
CREATE TRIGGER acts_numbered AFTER INSERT ON acts BEGIN
UPDATE acts SET checksum = checksum + new.number WHERE number = new.number;
UPDATE meta SET value = new.number, checksum = row_checksum('acts', new.number)
WHERE name = 'acts';
END;
INSERT INTO meta (name, value, checksum) VALUES ('acts', 0, row_checksum('acts', 0));
