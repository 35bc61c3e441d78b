-- What makes each event be stored once, and the account of all of them.
-- seq: the highest sequence number dealt with; stored, dropped (before the store), rejected (kept in dead_letters).
CREATE TABLE IF NOT EXISTS ingest_cursor (
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    updated TEXT NOT NULL,
    PRIMARY KEY (host, source, epoch)
) WITHOUT ROWID;
DROP VIEW IF EXISTS ledger;
CREATE VIEW ledger AS
SELECT host, source, epoch, seq AS produced, stored, dropped, rejected,
       seq - stored - dropped - rejected AS missing, updated
FROM ingest_cursor;
CREATE TABLE IF NOT EXISTS source_checkpoint (
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    checkpoint BLOB NOT NULL,
    updated TEXT NOT NULL,
    PRIMARY KEY (host, source)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    table_name TEXT NOT NULL,
    reason TEXT NOT NULL,
    payload BLOB NOT NULL
);
