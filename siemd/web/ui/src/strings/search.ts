/** What the search for events says. */

export const search = {
  table: "Table", tables: {
    logs: "Wire", connections: "Connections", security_logs: "Security", system_logs: "System", application_logs: "Applications", channel_logs: "Other channels", usage_data: "Usage",
  } as Record<string, string>,
  label: "Events", histogram: (table: string) => `Events over time in ${table}`, columns: "Columns", export: "Export", csv: "As CSV", jsonl: "As JSON Lines", statistics: "Fields", field: "Field",
  statisticsText: "The most frequent values; a click shows only one, or hides it.", of: (n: string) => `of ${n} events`, others: (n: string) => `${n} others`, none: "No values",
  views: "Views", saveView: "Save this search", viewName: "Name", shared: "For everybody", saved: "Saved", removeView: (name: string) => `Remove ${name}`,
  detail: "Event", closeAside: "Close the event or the fields", emptyTitle: "Nothing found", emptyText: "Take a filter or a word away, choose a longer time or another table. Events appear as soon as a source of siemd stores them.",
  unusedTitle: "Nothing is asked yet", forget: "Take it away",
  unusedText: (operators: string, most: number) => `A filter of this address can't be used, and without it other rows would show. A filter is FIELD:OP:VALUE, where OP is one of ${operators}; at most ${most} can be combined.`,
  fresh: (n: number, more: boolean) => (n === 0 ? "Look for new events" : n === 1 && !more ? "1 new event" : `${n}${more ? "+" : ""} new events`),
  liveStands: "The time range has ended, so nothing new is counted.", liveTrouble: (why: string) => `New events are not counted: ${why}`,
  liveLost: "The live connection is lost; trying again. New events are not counted meanwhile.", liveRefused: "Too many pages are live; this one tries again in a while.",
};
