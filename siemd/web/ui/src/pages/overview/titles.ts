/** What a panel is called when nobody named it. */

import { METRICS, type Panel } from "$lib/panels";
import { strings } from "$strings";

const words = strings.overview;

export function titleOf(panel: Panel): string {
  if (panel.title) return panel.title;
  const table = words.tables[panel.table];
  switch (panel.kind) {
    case "incidents":
    case "drops":
      return words.kinds[panel.kind];
    case "hosts":
      return strings.nav.hosts;
    case "usage":
      return words.metrics[METRICS.find((name) => name === panel.by) ?? "cpu_percent"];
    case "number":
      return table;
    case "list":
      return words.top(table, words.field(panel.by));
    case "table":
      return words.newest(table);
    case "graph":
      return words.whom(table);
    case "heat":
      return words.busy(table);
    default:
      return panel.table === "all" ? words.by(table, "table") : panel.by ? words.by(table, words.field(panel.by)) : table;
  }
}
