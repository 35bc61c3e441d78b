-- Panel: time series. How many events of each table there are by the hour; `metric` makes one line a table.
-- rollup_hour is small whatever the range: a year is 8760 hours times the kinds of events.
SELECT bucket AS time, table_name AS metric, SUM(row_count) AS value
FROM rollup_hour
WHERE table_name IN ('logs', 'security_logs', 'system_logs', 'application_logs', 'channel_logs')
  AND bucket BETWEEN $__unixEpochFrom() AND $__unixEpochTo()
GROUP BY bucket, table_name
ORDER BY bucket;
