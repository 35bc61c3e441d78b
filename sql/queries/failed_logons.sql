-- Panel: time series. Failed logons of Windows hosts (event 4625) by the hour, one line a host.
SELECT bucket AS time, host AS metric, SUM(row_count) AS value
FROM rollup_hour
WHERE table_name = 'security_logs' AND channel = 'Security' AND event_id = 4625
  AND bucket BETWEEN $__unixEpochFrom() AND $__unixEpochTo()
GROUP BY bucket, host
ORDER BY bucket;
