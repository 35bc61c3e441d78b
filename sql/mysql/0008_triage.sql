-- What people make of incidents; the row in `alerts` stays the detector's alone. verdict: true_positive, false_positive or ''.
CREATE TABLE IF NOT EXISTS alert_triage (
    incident_id VARCHAR(191) NOT NULL,
    assignee VARCHAR(255) NOT NULL,
    state VARCHAR(16) NOT NULL,
    verdict VARCHAR(16) NOT NULL,
    changed DATETIME(6) NOT NULL,
    changed_by VARCHAR(255) NOT NULL,
    PRIMARY KEY (incident_id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS alert_comments (
    id BIGINT NOT NULL AUTO_INCREMENT,
    incident_id VARCHAR(191) NOT NULL,
    time DATETIME(6) NOT NULL,
    author VARCHAR(255) NOT NULL,
    text MEDIUMTEXT NOT NULL,
    PRIMARY KEY (id),
    KEY alert_comments_incident_id (incident_id, id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
