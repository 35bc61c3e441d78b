-- Records of connections: time is their start. They are many, and are kept for less long than other facts.
CREATE TABLE IF NOT EXISTS connections (
    id BIGINT NOT NULL AUTO_INCREMENT,
    time DATETIME(6) NOT NULL,
    host VARCHAR(255) NOT NULL,
    source VARCHAR(64) NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    event_type VARCHAR(64) NOT NULL,
    source_ip VARCHAR(64) NOT NULL,
    destination_ip VARCHAR(64) NOT NULL,
    source_port INT UNSIGNED,
    destination_port INT UNSIGNED,
    protocol VARCHAR(32) NOT NULL,
    state VARCHAR(32) NOT NULL,
    duration_s DOUBLE NOT NULL,
    source_packets BIGINT NOT NULL,
    destination_packets BIGINT NOT NULL,
    source_bytes BIGINT NOT NULL,
    destination_bytes BIGINT NOT NULL,
    fields JSON NOT NULL,
    PRIMARY KEY (id, time),
    KEY connections_time (time, id),
    KEY connections_source_ip (source_ip, time, id),
    KEY connections_destination_ip (destination_ip, time, id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
PARTITION BY RANGE COLUMNS (time) (PARTITION pmax VALUES LESS THAN (MAXVALUE));
INSERT IGNORE INTO rollup_state
SELECT 'connections', (UNIX_TIMESTAMP() DIV 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM connections;
