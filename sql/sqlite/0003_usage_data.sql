-- The host's load, one row a sample; rates are per second since the sample before.
CREATE TABLE IF NOT EXISTS usage_data (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    cpu_percent REAL NOT NULL,
    ram_percent REAL NOT NULL,
    disk_percent REAL NOT NULL,
    disk_read_bytes_s REAL NOT NULL,
    disk_write_bytes_s REAL NOT NULL,
    network_received_bytes_s REAL NOT NULL,
    network_sent_bytes_s REAL NOT NULL,
    load_1m REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS usage_data_time ON usage_data (time);
