-- Incidents that were open when siemd ended are found at its next start.
CREATE INDEX IF NOT EXISTS alerts_open ON alerts (host, last_seen) WHERE status = 'open';
