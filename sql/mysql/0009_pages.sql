-- Pages go by time and id. InnoDB ends each of these indexes with the id anyway, but only uses what is named: otherwise the
-- newest 100 rows are found by sorting all of them. Existing tables get their indexes built anew, which takes a while.
SET @make_index = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE logs DROP KEY logs_time, ADD KEY logs_time (time, id), DROP KEY logs_source_ip, ADD KEY logs_source_ip (source_ip, time, id), DROP KEY logs_destination_ip, ADD KEY logs_destination_ip (destination_ip, time, id), DROP KEY logs_event_type, ADD KEY logs_event_type (event_type, time, id)',
    'DO 0')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'logs' AND index_name = 'logs_time' AND column_name = 'id');
PREPARE make_index FROM @make_index;
EXECUTE make_index;
DEALLOCATE PREPARE make_index;
SET @make_index = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE usage_data DROP KEY usage_data_time, ADD KEY usage_data_time (time, id)',
    'DO 0')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'usage_data' AND index_name = 'usage_data_time' AND column_name = 'id');
PREPARE make_index FROM @make_index;
EXECUTE make_index;
DEALLOCATE PREPARE make_index;
SET @make_index = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE security_logs DROP KEY security_logs_event_time, ADD KEY security_logs_event_time (event_time, id), DROP KEY security_logs_event_id, ADD KEY security_logs_event_id (event_id, event_time, id), DROP KEY security_logs_user_name, ADD KEY security_logs_user_name (user_name, event_time, id), DROP KEY security_logs_source_ip, ADD KEY security_logs_source_ip (source_ip, event_time, id)',
    'DO 0')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'security_logs' AND index_name = 'security_logs_event_time' AND column_name = 'id');
PREPARE make_index FROM @make_index;
EXECUTE make_index;
DEALLOCATE PREPARE make_index;
SET @make_index = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE system_logs DROP KEY system_logs_event_time, ADD KEY system_logs_event_time (event_time, id), DROP KEY system_logs_event_id, ADD KEY system_logs_event_id (event_id, event_time, id), DROP KEY system_logs_user_name, ADD KEY system_logs_user_name (user_name, event_time, id), DROP KEY system_logs_source_ip, ADD KEY system_logs_source_ip (source_ip, event_time, id)',
    'DO 0')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'system_logs' AND index_name = 'system_logs_event_time' AND column_name = 'id');
PREPARE make_index FROM @make_index;
EXECUTE make_index;
DEALLOCATE PREPARE make_index;
SET @make_index = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE application_logs DROP KEY application_logs_event_time, ADD KEY application_logs_event_time (event_time, id), DROP KEY application_logs_event_id, ADD KEY application_logs_event_id (event_id, event_time, id), DROP KEY application_logs_user_name, ADD KEY application_logs_user_name (user_name, event_time, id), DROP KEY application_logs_source_ip, ADD KEY application_logs_source_ip (source_ip, event_time, id)',
    'DO 0')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'application_logs' AND index_name = 'application_logs_event_time' AND column_name = 'id');
PREPARE make_index FROM @make_index;
EXECUTE make_index;
DEALLOCATE PREPARE make_index;
SET @make_index = (SELECT IF(COUNT(*) = 0,
    'ALTER TABLE channel_logs DROP KEY channel_logs_event_time, ADD KEY channel_logs_event_time (event_time, id), DROP KEY channel_logs_event_id, ADD KEY channel_logs_event_id (event_id, event_time, id), DROP KEY channel_logs_user_name, ADD KEY channel_logs_user_name (user_name, event_time, id), DROP KEY channel_logs_source_ip, ADD KEY channel_logs_source_ip (source_ip, event_time, id)',
    'DO 0')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'channel_logs' AND index_name = 'channel_logs_event_time' AND column_name = 'id');
PREPARE make_index FROM @make_index;
EXECUTE make_index;
DEALLOCATE PREPARE make_index;
