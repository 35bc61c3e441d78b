/** What the inbox can be narrowed to beside its state, and the values that are offered for each. */

import { api } from "./api/client";
import { visible } from "./hostile";
import { LEVELS } from "./levels";
import { tagsOf, type Incident } from "./triage";
import { strings } from "../strings";

export const NARROWS = ["level", "rule", "host", "tag", "assignee", "verdict"] as const;
export type Narrow = (typeof NARROWS)[number];

export interface Offer {
  value: string;
  label: string;
}

const MOST = 50;
const LOOKED_AT = 500; // the newest incidents, for their tags
export const NOBODY = "-";

/** The tags of some incidents, the most frequent first. */
export function tagsIn(incidents: readonly Incident[], most = MOST): Offer[] {
  const counts = new Map<string, number>();
  for (const one of incidents) for (const tag of tagsOf(one)) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort(([a, one], [b, other]) => other - one || a.localeCompare(b)).slice(0, most).map(([value]) => offer(value));
}

const offer = (value: string): Offer => ({ value, label: visible(value, 60) });

/** How a value is told on its control. */
export function labelOf(narrow: Narrow, value: string): string {
  const words = strings.alerts;
  if (narrow === "level") return strings.levels[LEVELS.find((one) => one === value) ?? "low"];
  if (narrow === "assignee" && value === NOBODY) return words.nobody;
  if (narrow === "verdict") return words.verdictsLong[value] ?? visible(value, 60);
  return visible(value, 60);
}

/** What can be chosen: all there is of levels and verdicts, else what stands in the time range's incidents. me: who asks, if they may triage. */
export async function offersOf(narrow: Narrow, range: { start?: string; end?: string }, me: string, signal: AbortSignal): Promise<Offer[]> {
  const fixed = (values: readonly string[]) => values.map((value) => ({ value, label: labelOf(narrow, value) }));
  switch (narrow) {
    case "level":
      return fixed([...LEVELS].reverse());
    case "verdict":
      return fixed(["true_positive", "false_positive"]);
    case "assignee": {
      const names = me ? await api.get("/api/v1/assignees", { signal }) : [];
      return [...(me ? [{ value: me, label: strings.alerts.me }] : []), ...fixed([NOBODY]), ...names.filter((name) => name !== me).map(offer)];
    }
    case "tag":
      return tagsIn((await api.get("/api/v1/alerts", { query: { ...range, limit: LOOKED_AT }, signal })).incidents);
    default: {
      const query = { ...range, field: narrow, limit: MOST };
      const found = await api.get("/api/v1/statistics/{table}/top", { path: { table: "alerts" }, query, signal });
      return found.values.map((one) => offer(String(one.value)));
    }
  }
}
