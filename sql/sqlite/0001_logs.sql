-- Facts about the wire. Times are UTC, 'YYYY-MM-DD HH:MM:SS.ffffff'; (host, source, epoch, seq) names an event for ever.
CREATE TABLE IF NOT EXISTS logs (
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
    count INTEGER NOT NULL,
    user_name TEXT COLLATE NOCASE NOT NULL,
    message TEXT NOT NULL,
    fields TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS logs_time ON logs (time);
CREATE INDEX IF NOT EXISTS logs_source_ip ON logs (source_ip, time);
CREATE INDEX IF NOT EXISTS logs_destination_ip ON logs (destination_ip, time);
CREATE INDEX IF NOT EXISTS logs_event_type ON logs (event_type, time);
