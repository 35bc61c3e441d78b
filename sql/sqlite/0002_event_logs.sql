-- Records of event logs; `fields` holds the native names and values. Channels without a table of their own go to channel_logs.
CREATE TABLE IF NOT EXISTS security_logs (
    id INTEGER PRIMARY KEY,
    event_time TEXT NOT NULL,
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    level TEXT NOT NULL,
    record_id INTEGER NOT NULL,
    platform TEXT NOT NULL,
    channel TEXT COLLATE NOCASE NOT NULL,
    provider TEXT COLLATE NOCASE NOT NULL,
    computer TEXT COLLATE NOCASE NOT NULL,
    user_name TEXT COLLATE NOCASE NOT NULL,
    source_ip TEXT NOT NULL,
    message TEXT NOT NULL,
    fields TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS security_logs_event_time ON security_logs (event_time);
CREATE INDEX IF NOT EXISTS security_logs_event_id ON security_logs (event_id, event_time);
CREATE INDEX IF NOT EXISTS security_logs_user_name ON security_logs (user_name, event_time) WHERE user_name <> '';
CREATE INDEX IF NOT EXISTS security_logs_source_ip ON security_logs (source_ip, event_time) WHERE source_ip <> '';
CREATE TABLE IF NOT EXISTS system_logs (
    id INTEGER PRIMARY KEY,
    event_time TEXT NOT NULL,
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    level TEXT NOT NULL,
    record_id INTEGER NOT NULL,
    platform TEXT NOT NULL,
    channel TEXT COLLATE NOCASE NOT NULL,
    provider TEXT COLLATE NOCASE NOT NULL,
    computer TEXT COLLATE NOCASE NOT NULL,
    user_name TEXT COLLATE NOCASE NOT NULL,
    source_ip TEXT NOT NULL,
    message TEXT NOT NULL,
    fields TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS system_logs_event_time ON system_logs (event_time);
CREATE INDEX IF NOT EXISTS system_logs_event_id ON system_logs (event_id, event_time);
CREATE INDEX IF NOT EXISTS system_logs_user_name ON system_logs (user_name, event_time) WHERE user_name <> '';
CREATE INDEX IF NOT EXISTS system_logs_source_ip ON system_logs (source_ip, event_time) WHERE source_ip <> '';
CREATE TABLE IF NOT EXISTS application_logs (
    id INTEGER PRIMARY KEY,
    event_time TEXT NOT NULL,
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    level TEXT NOT NULL,
    record_id INTEGER NOT NULL,
    platform TEXT NOT NULL,
    channel TEXT COLLATE NOCASE NOT NULL,
    provider TEXT COLLATE NOCASE NOT NULL,
    computer TEXT COLLATE NOCASE NOT NULL,
    user_name TEXT COLLATE NOCASE NOT NULL,
    source_ip TEXT NOT NULL,
    message TEXT NOT NULL,
    fields TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS application_logs_event_time ON application_logs (event_time);
CREATE INDEX IF NOT EXISTS application_logs_event_id ON application_logs (event_id, event_time);
CREATE INDEX IF NOT EXISTS application_logs_user_name ON application_logs (user_name, event_time) WHERE user_name <> '';
CREATE INDEX IF NOT EXISTS application_logs_source_ip ON application_logs (source_ip, event_time) WHERE source_ip <> '';
CREATE TABLE IF NOT EXISTS channel_logs (
    id INTEGER PRIMARY KEY,
    event_time TEXT NOT NULL,
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    level TEXT NOT NULL,
    record_id INTEGER NOT NULL,
    platform TEXT NOT NULL,
    channel TEXT COLLATE NOCASE NOT NULL,
    provider TEXT COLLATE NOCASE NOT NULL,
    computer TEXT COLLATE NOCASE NOT NULL,
    user_name TEXT COLLATE NOCASE NOT NULL,
    source_ip TEXT NOT NULL,
    message TEXT NOT NULL,
    fields TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS channel_logs_event_time ON channel_logs (event_time);
CREATE INDEX IF NOT EXISTS channel_logs_event_id ON channel_logs (event_id, event_time);
CREATE INDEX IF NOT EXISTS channel_logs_user_name ON channel_logs (user_name, event_time) WHERE user_name <> '';
CREATE INDEX IF NOT EXISTS channel_logs_source_ip ON channel_logs (source_ip, event_time) WHERE source_ip <> '';
