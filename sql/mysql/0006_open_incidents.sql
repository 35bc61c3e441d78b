-- Incidents that were open when siemd ended are found at its next start. MySQL has no CREATE INDEX IF NOT EXISTS.
SET @make_index = (SELECT IF(COUNT(*) = 0, 'CREATE INDEX alerts_open ON alerts (status, host, last_seen)', 'DO 0')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'alerts' AND index_name = 'alerts_open');
PREPARE make_index FROM @make_index;
EXECUTE make_index;
DEALLOCATE PREPARE make_index;
