-- Panel: time series. Facts about the wire by the minute and their kind, for the last days: minutes are kept for eight.
SELECT bucket AS time, event_type AS metric, SUM(row_count) AS value
FROM rollup_minute
WHERE table_name = 'logs' AND bucket BETWEEN $__unixEpochFrom() AND $__unixEpochTo()
GROUP BY bucket, event_type
ORDER BY bucket;
