-- Panel: table. Incidents that nobody has closed, the gravest first. Times in the store are UTC, whatever the session's zone.
SELECT alerts.level, alerts.title, alerts.reason, alerts.host, alerts.count, alerts.first_seen, alerts.last_seen,
       COALESCE(alert_triage.assignee, '') AS assignee, COALESCE(alert_triage.state, 'new') AS state
FROM alerts LEFT JOIN alert_triage ON alert_triage.incident_id = alerts.incident_id
WHERE COALESCE(alert_triage.state, 'new') <> 'closed'
  AND alerts.last_seen BETWEEN TIMESTAMPADD(SECOND, $__unixEpochFrom(), '1970-01-01')
                           AND TIMESTAMPADD(SECOND, $__unixEpochTo(), '1970-01-01')
ORDER BY FIELD(alerts.level, 'critical', 'high', 'medium', 'low', 'informational'), alerts.last_seen DESC
LIMIT 200;
