-- Panel: time series. CPU of each host in steps of a minute.
SELECT TIMESTAMPDIFF(SECOND, '1970-01-01', time) DIV 60 * 60 AS time_s, host AS metric, AVG(cpu_percent) AS value
FROM usage_data
WHERE time BETWEEN TIMESTAMPADD(SECOND, $__unixEpochFrom(), '1970-01-01')
               AND TIMESTAMPADD(SECOND, $__unixEpochTo(), '1970-01-01')
GROUP BY time_s, host
ORDER BY time_s;
