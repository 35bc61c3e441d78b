-- Views that people saved, and settings that they changed through the API; both are JSON documents of the console.
CREATE TABLE IF NOT EXISTS saved_views (
    view_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    shared INTEGER NOT NULL,
    name TEXT NOT NULL,
    page TEXT NOT NULL,
    definition TEXT NOT NULL,
    created TEXT NOT NULL,
    changed TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS saved_views_user ON saved_views (user_id);
CREATE TABLE IF NOT EXISTS settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    changed TEXT NOT NULL,
    changed_by TEXT NOT NULL
);
