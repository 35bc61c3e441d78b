-- Who was told of which state of an incident, and how that went. kind: open, grow, close or escalation; summaries say
-- what they sum up. status: sent, dead (given up) or dropped (there was no room).
CREATE TABLE IF NOT EXISTS alert_notifications (
    id BIGINT NOT NULL AUTO_INCREMENT,
    time DATETIME(6) NOT NULL,
    incident_id VARCHAR(191) NOT NULL,
    revision BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    route VARCHAR(64) NOT NULL,
    channel VARCHAR(16) NOT NULL,
    target VARCHAR(64) NOT NULL,
    status VARCHAR(16) NOT NULL,
    attempts BIGINT NOT NULL,
    detail VARCHAR(1000) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY alert_notifications_told (incident_id, revision, kind, route, target),
    KEY alert_notifications_time (time)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- What a run of detection raised is read in its order. MySQL has no CREATE INDEX IF NOT EXISTS.
SET @make_index = (SELECT IF(COUNT(*) = 0, 'CREATE INDEX alerts_run ON alerts (epoch, seq)', 'DO 0')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'alerts' AND index_name = 'alerts_run');
PREPARE make_index FROM @make_index;
EXECUTE make_index;
DEALLOCATE PREPARE make_index;
