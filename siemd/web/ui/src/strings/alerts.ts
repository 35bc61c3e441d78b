/** What the inbox of incidents and an incident's story say. */

import { count } from "../lib/format";

export const alerts = {
  states: { open: "Open", new: "New", acknowledged: "Acknowledged", closed: "Closed", all: "All" }, state: "State", level: "Severity",
  verdicts: { true_positive: "true", false_positive: "false alarm", "": "" } as Record<string, string>, label: "Incidents", reason: "What happened", rule: "Rule",
  seen: "Last seen", first: "First seen", count: "Count", host: "Host", assignee: "Assigned", nobody: "nobody", select: (title: string) => `Select ${title}`,
  selected: (n: string) => `${n} selected`, none: "Select none", selectAll: "Select all of the list", mostChosen: (n: string) => `Only the first ${n} are selected.`, acknowledge: "Acknowledge", assign: "Assign to me", close: "Close", reopen: "Reopen", suppress: "Suppress",
  suppressReason: (title: string, who: string, closed: boolean) => `${title}${who ? ` by ${who}` : ""} is ${closed ? "a false alarm" : "known and expected"}`,
  closeTitle: (n: number) => (n === 1 ? "Close the incident" : `Close ${n} incidents`), verdict: "What was it?", real: "A true alarm", falseAlarm: "A false alarm",
  comment: "Comment", commentHint: "What the next one should know.", done: { close: "closed", acknowledge: "acknowledged", assign: "assigned", reopen: "reopened" } as Record<string, string>,
  did: (n: number, already: number, what: string) => [n || !already ? (n === 1 ? `Incident ${what}` : `${n} incidents ${what}`) : "", already ? (n + already === 1 ? `It was ${what} already` : `${already} were ${what} already`) : ""].filter(Boolean).join("; "),
  undone: (n: number) => (n === 1 ? "The incident is as it was" : `${n} incidents are as they were`), missing: "no longer stored",
  notDone: (n: number, of: number, what: string, reasons: [string, number][]) =>
    `${of === 1 ? "The incident was" : `${n} of ${of} incidents ${n === 1 ? "was" : "were"}`} not ${what}: ${reasons.slice(0, 5).map(([why, times]) => (reasons.length > 1 ? `${why} (${times})` : why)).join(", ")}. Look again.`, fresh: (n: number, more: boolean) => (n ? `${n}${more ? "+" : ""} new or grown` : "Look for new ones"),
  narrow: "Narrow the list", narrowBy: (what: string) => `Narrow by ${what.toLowerCase()}`, any: "Any", wide: "Clear", me: "Me", sort: "Sort by",
  narrows: { level: "Severity", rule: "Rule", host: "Host", tag: "Tag", assignee: "Assigned", verdict: "Verdict" },
  sorts: { last_seen: "Last seen", level: "Severity", count: "Count", rule: "Rule" },
  verdictsLong: { true_positive: "true alarm", false_positive: "false alarm" } as Record<string, string>, keys: { next: "Next incident", before: "Incident before", open: "Open it", back: "Back to the list", select: "Select it", all: "Select all of the list" },
  back: "All incidents", tags: "ATT&CK", group: "About", evidence: "Evidence", fields: "Fields", evidenceMore: "The first of the events behind it.", timeline: "What else happened then",
  timelineOf: "All tables, of", kinds: { address: "address", user: "user", host: "host" },
  width: "How long around it", widths: { 15: "15 minutes around it", 60: "An hour around it", 1440: "A day around it" }, earlier: "Earlier", later: "Later", moment: "The incident begins",
  timelineNone: "Nothing else is stored of them in this time.", usage: "The host at that time", noUsage: "The host told no load at that time.",
  cpu: "CPU", ram: "RAM", received: "Received", sent: "Sent", most: (value: string) => `at most ${value}`, marked: "Measured nearest to when the incident began; its time is marked.", told: "Who was told", toldNone: "Nobody was notified.", comments: "Comments", add: "Add a comment", past: "Incidents like this one",
  pastNone: "The rule opened no other.", same: "same", gone: "There is no such incident", goneText: "It may be older than what is kept, or the address is mistyped.", changed: (who: string) => `last changed by ${who}`,
  status: { open: "going on", closed: "quiet" } as Record<string, string>, grown: "went on after it was closed", times: (n: number) => (n === 1 ? "once" : `${count(n)} times`), noComments: "Nobody has written one.", search: "Search its events",
  emptyTitle: "No incidents here", emptyText: "Incidents appear when a rule fires. Try it: scan this host with nmap from another one. Or choose a longer time, or another state.",
  tables: { alerts: "incident", logs: "wire", connections: "connection", security_logs: "security", system_logs: "system", application_logs: "application", channel_logs: "channel" } as Record<string, string>,
};
