-- How many rows there are by minute and by hour, written with the rows. bucket: seconds since 1970 of its start.
-- rollup_state: minutes are whole from minute_since on; the rows with ids rebuild_first to rebuild_last are not counted yet.
CREATE TABLE IF NOT EXISTS rollup_minute (
    table_name VARCHAR(32) NOT NULL,
    bucket BIGINT NOT NULL,
    host VARCHAR(255) NOT NULL,
    event_type VARCHAR(64) NOT NULL,
    channel VARCHAR(255) COLLATE utf8mb4_general_ci NOT NULL,
    event_id BIGINT NOT NULL,
    level VARCHAR(32) NOT NULL,
    row_count BIGINT NOT NULL,
    PRIMARY KEY (table_name, bucket, host, event_type, channel, event_id, level)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS rollup_hour (
    table_name VARCHAR(32) NOT NULL,
    bucket BIGINT NOT NULL,
    host VARCHAR(255) NOT NULL,
    event_type VARCHAR(64) NOT NULL,
    channel VARCHAR(255) COLLATE utf8mb4_general_ci NOT NULL,
    event_id BIGINT NOT NULL,
    level VARCHAR(32) NOT NULL,
    row_count BIGINT NOT NULL,
    PRIMARY KEY (table_name, bucket, host, event_type, channel, event_id, level)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS rollup_source_hour (
    table_name VARCHAR(32) NOT NULL,
    bucket BIGINT NOT NULL,
    source_ip VARCHAR(64) NOT NULL,
    host VARCHAR(255) NOT NULL,
    row_count BIGINT NOT NULL,
    PRIMARY KEY (table_name, bucket, source_ip, host)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS rollup_state (
    table_name VARCHAR(32) NOT NULL,
    minute_since BIGINT NOT NULL,
    rebuild_first BIGINT NOT NULL,
    rebuild_last BIGINT NOT NULL,
    PRIMARY KEY (table_name)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO rollup_state
SELECT 'logs', (UNIX_TIMESTAMP() DIV 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM logs;
INSERT IGNORE INTO rollup_state
SELECT 'security_logs', (UNIX_TIMESTAMP() DIV 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM security_logs;
INSERT IGNORE INTO rollup_state
SELECT 'system_logs', (UNIX_TIMESTAMP() DIV 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM system_logs;
INSERT IGNORE INTO rollup_state
SELECT 'application_logs', (UNIX_TIMESTAMP() DIV 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM application_logs;
INSERT IGNORE INTO rollup_state
SELECT 'channel_logs', (UNIX_TIMESTAMP() DIV 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM channel_logs;
INSERT IGNORE INTO rollup_state
SELECT 'usage_data', (UNIX_TIMESTAMP() DIV 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM usage_data;
