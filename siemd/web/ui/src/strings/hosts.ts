/** The English of the Hosts page and of a host's own. */

export const hosts = {
  title: "Hosts", host: "Host", state: "State", lastSeen: "Last seen", sources: "Sources", cpu: "CPU", ram: "RAM", disk: "Disk",
  incidents: "Open incidents", events: "Events, 24 h", none: "none",
  states: { ok: "Reports", degraded: "Quiet", failed: "Silent" } as Record<string, string>,
  stateHint: "Reports: heard of in the last 5 minutes. Quiet: in the last hour. Silent: longer ago.",
  back: "All hosts", count: (n: number) => (n === 1 ? "1 host" : `${n} hosts`), troubled: (n: number) => `${n} not heard of lately`,
  stored: "Stored", dropped: "Dropped", rejected: "Rejected", missing: "Missing", source: "Source", ledger: "Sources and what became of their events",
  cpuChart: "CPU, percent", ramChart: "RAM, percent", diskChart: "Disk, percent filled", diskIo: "Disk, bytes a second",
  networkIo: "Network, bytes a second", load: "Load, mean of a minute", byTable: "Events by table, last 24 hours", table: "Table", openTitle: "Open incidents",
  noOpen: "Nothing open on this host", noOpenText: "Incidents of this host that nobody closed yet show here.", find: "Find them",
  over: "Events over time", unknown: "No host of this name has stored anything",
  unknownText: "It may have been renamed, or its events have been cleared.",
  empty: ["No hosts yet", "Every host that stores events appears here with its sources and its load. Run “siemd run” with sources.metrics, sources.journal or sources.windows enabled."] as [string, string],
  noSamples: "No measurements in this range. Enable sources.metrics on this host.",
};
