-- What people make of incidents; the row in `alerts` stays the detector's alone. verdict: true_positive, false_positive or ''.
CREATE TABLE IF NOT EXISTS alert_triage (
    incident_id TEXT PRIMARY KEY,
    assignee TEXT NOT NULL,
    state TEXT NOT NULL,
    verdict TEXT NOT NULL,
    changed TEXT NOT NULL,
    changed_by TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alert_comments (
    id INTEGER PRIMARY KEY,
    incident_id TEXT NOT NULL,
    time TEXT NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS alert_comments_incident_id ON alert_comments (incident_id, id);
