-- Incidents: one row each, the newest revision wins. time: of the last change.
CREATE TABLE IF NOT EXISTS alerts (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    incident_id TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL,
    first_seen TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    status TEXT NOT NULL,
    level TEXT NOT NULL,
    rule TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    title TEXT COLLATE NOCASE NOT NULL,
    count INTEGER NOT NULL,
    reason TEXT NOT NULL,
    group_values TEXT NOT NULL,
    tags TEXT NOT NULL,
    evidence TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS alerts_time ON alerts (time);
CREATE INDEX IF NOT EXISTS alerts_last_seen ON alerts (last_seen);
CREATE INDEX IF NOT EXISTS alerts_rule ON alerts (rule, last_seen);
