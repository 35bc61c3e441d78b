-- Panel: bar chart or table. The addresses that most facts are about.
SELECT source_ip, SUM(row_count) AS events
FROM rollup_source_hour
WHERE table_name = 'logs' AND source_ip <> '' AND bucket BETWEEN $__unixEpochFrom() AND $__unixEpochTo()
GROUP BY source_ip
ORDER BY events DESC
LIMIT 20;
