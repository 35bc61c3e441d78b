-- Who was told of which state of an incident, and how that went. kind: open, grow, close or escalation; summaries say
-- what they sum up. status: sent, dead (given up) or dropped (there was no room).
CREATE TABLE IF NOT EXISTS alert_notifications (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    kind TEXT NOT NULL,
    route TEXT NOT NULL,
    channel TEXT NOT NULL,
    target TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    detail TEXT NOT NULL,
    UNIQUE (incident_id, revision, kind, route, target)
);
CREATE INDEX IF NOT EXISTS alert_notifications_time ON alert_notifications (time);
CREATE INDEX IF NOT EXISTS alerts_run ON alerts (epoch, seq);
