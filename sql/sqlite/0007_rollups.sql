-- How many rows there are by minute and by hour, written with the rows. bucket: seconds since 1970 of its start.
-- rollup_state: minutes are whole from minute_since on; the rows with ids rebuild_first to rebuild_last are not counted yet.
CREATE TABLE IF NOT EXISTS rollup_minute (
    table_name TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    host TEXT NOT NULL,
    event_type TEXT NOT NULL,
    channel TEXT COLLATE NOCASE NOT NULL,
    event_id INTEGER NOT NULL,
    level TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    PRIMARY KEY (table_name, bucket, host, event_type, channel, event_id, level)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollup_hour (
    table_name TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    host TEXT NOT NULL,
    event_type TEXT NOT NULL,
    channel TEXT COLLATE NOCASE NOT NULL,
    event_id INTEGER NOT NULL,
    level TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    PRIMARY KEY (table_name, bucket, host, event_type, channel, event_id, level)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollup_source_hour (
    table_name TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    source_ip TEXT NOT NULL,
    host TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    PRIMARY KEY (table_name, bucket, source_ip, host)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollup_state (
    table_name TEXT PRIMARY KEY,
    minute_since INTEGER NOT NULL,
    rebuild_first INTEGER NOT NULL,
    rebuild_last INTEGER NOT NULL
) WITHOUT ROWID;
INSERT OR IGNORE INTO rollup_state
SELECT 'logs', (strftime('%s', 'now') / 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM logs;
INSERT OR IGNORE INTO rollup_state
SELECT 'security_logs', (strftime('%s', 'now') / 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM security_logs;
INSERT OR IGNORE INTO rollup_state
SELECT 'system_logs', (strftime('%s', 'now') / 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM system_logs;
INSERT OR IGNORE INTO rollup_state
SELECT 'application_logs', (strftime('%s', 'now') / 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM application_logs;
INSERT OR IGNORE INTO rollup_state
SELECT 'channel_logs', (strftime('%s', 'now') / 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM channel_logs;
INSERT OR IGNORE INTO rollup_state
SELECT 'usage_data', (strftime('%s', 'now') / 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM usage_data;
