-- Who may do what. Secrets that siemd hands out are kept as hashes; times are UTC, as everywhere.
CREATE TABLE IF NOT EXISTS users (
    user_id VARCHAR(32) NOT NULL,
    name VARCHAR(191) NOT NULL,
    role VARCHAR(16) NOT NULL,
    disabled TINYINT NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    oidc_subject VARCHAR(255) NOT NULL,
    totp_secret VARCHAR(64) NOT NULL,
    totp_pending VARCHAR(64) NOT NULL,
    totp_step BIGINT NOT NULL,
    created DATETIME(6) NOT NULL,
    changed DATETIME(6) NOT NULL,
    last_login DATETIME(6),
    PRIMARY KEY (user_id),
    UNIQUE KEY users_name (name)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS sessions (
    token_hash CHAR(64) NOT NULL,
    session_id VARCHAR(32) NOT NULL,
    user_id VARCHAR(32) NOT NULL,
    created DATETIME(6) NOT NULL,
    last_used DATETIME(6) NOT NULL,
    expires DATETIME(6) NOT NULL,
    step_up DATETIME(6) NOT NULL,
    address VARCHAR(64) NOT NULL,
    user_agent VARCHAR(255) NOT NULL,
    PRIMARY KEY (token_hash),
    UNIQUE KEY sessions_session_id (session_id),
    KEY sessions_user (user_id),
    KEY sessions_last_used (last_used)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS api_tokens (
    token_hash CHAR(64) NOT NULL,
    token_id VARCHAR(32) NOT NULL,
    user_id VARCHAR(32) NOT NULL,
    name VARCHAR(191) NOT NULL,
    scopes TEXT NOT NULL,
    created DATETIME(6) NOT NULL,
    expires DATETIME(6) NOT NULL,
    last_used DATETIME(6),
    last_address VARCHAR(64) NOT NULL,
    PRIMARY KEY (token_hash),
    UNIQUE KEY api_tokens_token_id (token_id),
    KEY api_tokens_user (user_id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS recovery_codes (
    code_hash CHAR(64) NOT NULL,
    user_id VARCHAR(32) NOT NULL,
    PRIMARY KEY (code_hash),
    KEY recovery_codes_user (user_id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS setup_links (
    link_hash CHAR(64) NOT NULL,
    purpose VARCHAR(16) NOT NULL,
    user_id VARCHAR(32) NOT NULL,
    created DATETIME(6) NOT NULL,
    expires DATETIME(6) NOT NULL,
    PRIMARY KEY (link_hash)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS login_attempts (
    subject VARCHAR(100) NOT NULL,
    failures INT NOT NULL,
    last_failed DATETIME(6) NOT NULL,
    blocked_until DATETIME(6) NOT NULL,
    PRIMARY KEY (subject),
    KEY login_attempts_last_failed (last_failed)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
