-- Facts about the wire. Times are UTC; (host, source, epoch, seq) names an event for ever. siemd adds and drops partitions.
CREATE TABLE IF NOT EXISTS logs (
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
    count BIGINT NOT NULL,
    user_name VARCHAR(255) COLLATE utf8mb4_general_ci NOT NULL,
    message MEDIUMTEXT COLLATE utf8mb4_general_ci NOT NULL,
    fields JSON NOT NULL,
    PRIMARY KEY (id, time),
    KEY logs_time (time),
    KEY logs_source_ip (source_ip, time),
    KEY logs_destination_ip (destination_ip, time),
    KEY logs_event_type (event_type, time)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
PARTITION BY RANGE COLUMNS (time) (PARTITION pmax VALUES LESS THAN (MAXVALUE));
