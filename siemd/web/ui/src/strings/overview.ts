/** The English of the Overview, and of the charts that it shares with Network and Hosts. */

import type { Kind, Metric, Table } from "../lib/panels";

const kinds: Record<Kind, string> = {
  incidents: "Open incidents by level", number: "Number", hosts: "Hosts that report", drops: "Lost events", bar: "Stacked bars", area: "Area",
  line: "Lines", donut: "Donut", heat: "Heat map by hour and weekday", list: "Top list", table: "Newest rows", graph: "Who with whom",
  usage: "Resources of hosts",
};
const tables: Record<Table, string> = {
  all: "All events", alerts: "Incidents", logs: "Network facts", connections: "Connections", security_logs: "Security log",
  system_logs: "System log", application_logs: "Application log", channel_logs: "Other logs",
};
const fields: Record<string, string> = {
  level: "level", rule: "rule", title: "title", status: "status", host: "host", event_type: "kind", source_ip: "source address",
  destination_ip: "destination address", destination_port: "destination port", source_port: "source port", protocol: "protocol",
  user_name: "user", source: "source", state: "state", event_id: "event id", channel: "channel", provider: "provider",
  computer: "computer", platform: "platform",
};
const metrics: Record<Metric, string> = {
  cpu_percent: "CPU", ram_percent: "RAM", disk_percent: "Disk, filled", disk: "Disk, read and written", network: "Network, in and out", load_1m: "Load",
};

export const overview = {
  kinds, tables, fields, metrics,
  field: (name: string) => fields[name] ?? name.replace(/^fields\./, ""),
  by: (what: string, by: string) => `${what} by ${by}`,
  top: (what: string, by: string) => `${by.charAt(0).toUpperCase()}${by.slice(1)} · ${what.toLowerCase()}`,
  newest: (what: string) => `Newest ${what.toLowerCase()}`,
  whom: (what: string) => `Who with whom · ${what.toLowerCase()}`,
  busy: (what: string) => `${what} by hour and weekday`,
  probes: "Who probed whom", logins: "Users · security log",
  view: "View", standard: "Standard view", views: "Views", shared: (by: string) => `Shared by ${by}`, draft: "Changed, not saved",
  save: "Save", saveAs: "Save as a new view", saveTitle: "Save the view", name: "Name of the view", share: "Share it with everybody",
  shareHint: "Everybody who may see this console can open it; only you can change it.", saved: (name: string) => `“${name}” is saved`,
  discard: "Discard the changes", makeDefault: "Open this view by default", defaultSet: "This view opens by default now",
  remove: "Delete this view", removed: (name: string) => `“${name}” is deleted`, add: "Add a panel",
  notFound: "This view is gone, or not shared with you: the standard one is shown.",
  panel: {
    handle: (title: string) => `Move ${title}`, handleHint: "Arrows move it, Shift and arrows resize it", resize: (title: string) => `Resize ${title}`,
    menu: (title: string) => `What to do with ${title}`, edit: "Edit", duplicate: "Duplicate", remove: "Remove", earlier: "Move earlier", later: "Move later",
    wider: "Wider", narrower: "Narrower", taller: "Taller", shorter: "Shorter", open: "Find these rows",
    movedTo: (title: string, at: number, of: number) => `${title} is now panel ${at} of ${of}`,
    sized: (title: string, w: number, h: number) => `${title} is now ${w} of 12 columns wide and ${h} rows high`,
    removed: (title: string) => `${title} was removed`, unfiltered: "The page's filters don't fit this panel's table and are left out",
  },
  editor: {
    add: "Add a panel", edit: "Edit the panel", kind: "Show as", table: "Table", by: "Count by", metric: "Measurement", noField: "nothing: one series",
    filters: "Filters, one a line: FIELD:OP:VALUE", filtersHint: "Such as source_ip:cidr:10.0.0.0/8 or event_id:in:4624,4625", words: "Words",
    title: "Title", titleHint: "Empty: made of what it shows", other: "Another field, such as fields.outcome", wrongFilter: (text: string) => `“${text}” is no filter`,
    width: "Width, of 12 columns", height: "Height, in rows", done: "Apply", adding: "Add",
  },
  trend: {
    none: "none before", same: "as before", up: (percent: string) => `▲ ${percent}`, down: (percent: string) => `▼ ${percent}`,
    before: "than in the period before", fresh: (n: string) => `${n} new in this range`, was: (n: string) => `${n} in the period before`,
  },
  open: "open", none: "No open incidents", perSecond: (n: string) => `${n} a second`, perMinute: (n: string) => `${n} a minute`,
  perHour: (n: string) => `${n} an hour`, reporting: (n: number, of: number) => `${n} of ${of} heard of in this range`,
  allHeard: "all of them report", noHosts: "no host has sent anything yet", noDrops: "every event is accounted for", dropped: (n: string) => `${n} dropped`,
  missing: (n: string) => `${n} missing`, rejected: (n: string) => `${n} rejected`, others: "others", count: "Count", value: "Value",
  nothing: "Nothing in this range", nothingHere: {
    all: "Events show as soon as a source runs: enable one under sources in siemd.yaml.",
    alerts: "Incidents show when a rule fires. Try it: scan this host with nmap from another one.",
    logs: "Network facts come from the sniffer: enable sources.sniffer.",
    connections: "Connections come from the sniffer: enable sources.sniffer.",
    usage: "CPU, RAM, disk and network come from sources.metrics.",
    other: "They show as soon as a source of this kind runs; see sources in siemd.yaml.",
  },
  perHourTip: (day: string, hour: string, n: string) => `${day} ${hour}:00 – ${n}`, days: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
  heatLabel: (what: string, zone: string) => `${what}, by weekday and hour in ${zone}`, less: "Less", more: "More",
  sourceEnd: "Source", target: "Destination", last: "Last", flow: "Flow", matrix: "Matrix", asTable: "Table", shownAs: "Shown as",
  leftOut: (n: string) => `${n} more pairs: see the table`, pairsLabel: (n: number, m: number) => `${n} sources and ${m} destinations, joined by how often they met`,
  directions: { read: "read", written: "written", received: "received", sent: "sent" } as Record<string, string>, level: "Level", host: "Host", what: "What", carried: (sent: string, received: string) => `${sent} sent, ${received} received`,
  emptyTitle: "Nothing is stored yet",
  emptyText: "Cards and charts of incidents, events and hosts fill as soon as siemd stores something. Run “siemd run” with a source enabled in siemd.yaml, or try it on a capture: “siemd replay FILE.pcap”.",
  noPanels: "This view has no panels", noPanelsText: "Add one, or open another view.",
};
