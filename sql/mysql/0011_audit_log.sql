-- What was done by whom: each row's hash covers its content and the hash before; audit_head tells where the chain ends.
CREATE TABLE IF NOT EXISTS audit_log (
    seq BIGINT NOT NULL,
    time DATETIME(6) NOT NULL,
    actor VARCHAR(191) NOT NULL,
    actor_kind VARCHAR(16) NOT NULL,
    address VARCHAR(64) NOT NULL,
    request_id VARCHAR(64) NOT NULL,
    action VARCHAR(64) NOT NULL,
    target VARCHAR(255) NOT NULL,
    detail MEDIUMTEXT NOT NULL,
    previous CHAR(64) NOT NULL,
    hash CHAR(64) NOT NULL,
    PRIMARY KEY (seq),
    KEY audit_log_time (time)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS audit_head (
    id INT NOT NULL,
    seq BIGINT NOT NULL,
    hash CHAR(64) NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO audit_head (id, seq, hash) VALUES (1, 0, '');
