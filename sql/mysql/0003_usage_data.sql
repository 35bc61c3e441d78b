-- The host's load, one row a sample; rates are per second since the sample before.
CREATE TABLE IF NOT EXISTS usage_data (
    id BIGINT NOT NULL AUTO_INCREMENT,
    time DATETIME(6) NOT NULL,
    host VARCHAR(255) NOT NULL,
    source VARCHAR(64) NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    cpu_percent DOUBLE NOT NULL,
    ram_percent DOUBLE NOT NULL,
    disk_percent DOUBLE NOT NULL,
    disk_read_bytes_s DOUBLE NOT NULL,
    disk_write_bytes_s DOUBLE NOT NULL,
    network_received_bytes_s DOUBLE NOT NULL,
    network_sent_bytes_s DOUBLE NOT NULL,
    load_1m DOUBLE NOT NULL,
    PRIMARY KEY (id, time),
    KEY usage_data_time (time)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
PARTITION BY RANGE COLUMNS (time) (PARTITION pmax VALUES LESS THAN (MAXVALUE));
