-- Panel: table. The account of every source: `missing` above 0 means events that were lost without a word, and is a fault.
SELECT host, source, SUM(stored) AS stored, SUM(dropped) AS dropped, SUM(rejected) AS rejected, SUM(missing) AS missing,
       MAX(updated) AS last_heard
FROM ledger
GROUP BY host, source
ORDER BY missing DESC, last_heard DESC;
