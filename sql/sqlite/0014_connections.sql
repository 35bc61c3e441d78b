-- Records of connections: time is their start. They are many, and are kept for less long than other facts.
CREATE TABLE IF NOT EXISTS connections (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    source_ip TEXT NOT NULL,
    destination_ip TEXT NOT NULL,
    source_port INTEGER,
    destination_port INTEGER,
    protocol TEXT NOT NULL,
    state TEXT NOT NULL,
    duration_s REAL NOT NULL,
    source_packets INTEGER NOT NULL,
    destination_packets INTEGER NOT NULL,
    source_bytes INTEGER NOT NULL,
    destination_bytes INTEGER NOT NULL,
    fields TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS connections_time ON connections (time);
CREATE INDEX IF NOT EXISTS connections_source_ip ON connections (source_ip, time);
CREATE INDEX IF NOT EXISTS connections_destination_ip ON connections (destination_ip, time);
INSERT OR IGNORE INTO rollup_state
SELECT 'connections', (strftime('%s', 'now') / 3600 - 192) * 3600, COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM connections;
