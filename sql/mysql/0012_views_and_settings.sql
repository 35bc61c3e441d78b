-- Views that people saved, and settings that they changed through the API; both are JSON documents of the console.
CREATE TABLE IF NOT EXISTS saved_views (
    view_id VARCHAR(32) NOT NULL,
    user_id VARCHAR(32) NOT NULL,
    shared TINYINT NOT NULL,
    name VARCHAR(191) NOT NULL,
    page VARCHAR(64) NOT NULL,
    definition MEDIUMTEXT NOT NULL,
    created DATETIME(6) NOT NULL,
    changed DATETIME(6) NOT NULL,
    PRIMARY KEY (view_id),
    KEY saved_views_user (user_id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS settings (
    name VARCHAR(191) NOT NULL,
    value MEDIUMTEXT NOT NULL,
    changed DATETIME(6) NOT NULL,
    changed_by VARCHAR(191) NOT NULL,
    PRIMARY KEY (name)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
