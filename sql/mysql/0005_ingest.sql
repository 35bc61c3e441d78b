-- What makes each event be stored once, and the account of all of them.
-- seq: the highest sequence number dealt with; stored, dropped (before the store), rejected (kept in dead_letters).
CREATE TABLE IF NOT EXISTS ingest_cursor (
    host VARCHAR(255) NOT NULL,
    source VARCHAR(64) NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    stored BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    updated DATETIME(6) NOT NULL,
    PRIMARY KEY (host, source, epoch)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE OR REPLACE VIEW ledger AS
SELECT host, source, epoch, seq AS produced, stored, dropped, rejected,
       seq - stored - dropped - rejected AS missing, updated
FROM ingest_cursor;
CREATE TABLE IF NOT EXISTS source_checkpoint (
    host VARCHAR(255) NOT NULL,
    source VARCHAR(64) NOT NULL,
    checkpoint LONGBLOB NOT NULL,
    updated DATETIME(6) NOT NULL,
    PRIMARY KEY (host, source)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS dead_letters (
    id BIGINT NOT NULL AUTO_INCREMENT,
    time DATETIME(6) NOT NULL,
    host VARCHAR(255) NOT NULL,
    source VARCHAR(64) NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    table_name VARCHAR(64) NOT NULL,
    reason TEXT NOT NULL,
    payload LONGBLOB NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
