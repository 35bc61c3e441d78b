/** Working on incidents: one thing for one or many, never over what somebody else did meanwhile, with a way back. */

import { api, type Schemas } from "./api/client";
import { ApiError, messageOf } from "./api/problem";
import { toasts } from "./toasts.svelte";
import { strings } from "../strings";

export type Incident = Schemas["Incident"];
/** An incident as somebody saw it: `changed` says which state of it. */
export type Seen = Pick<Incident, "incident_id" | "changed">;
export type Deed = Partial<Omit<Schemas["TriageRequest"], "incident_ids" | "expected">> & Pick<Schemas["TriageRequest"], "action">;
type Request = Schemas["TriageRequest"];
type Changed = Schemas["Changed"];

export interface Failure<S extends Seen = Seen> {
  incident: S;
  why: string;
}

export interface Outcome<S extends Seen = Seen> {
  changes: Changed["changes"];
  unchanged: number;
  failed: Failure<S>[];
}

/** The API's most in one request. */
export const MOST_AT_ONCE = 500;
const CONFLICT = "changed-meanwhile";

/** What makes the changes of a closing undone: what was new is new again, what was closed otherwise is so again. */
export function undoing(changes: Changed["changes"]): { ids: string[]; deed: Deed }[] {
  const groups = new Map<string, { ids: string[]; deed: Deed }>();
  for (const { incident_id: id, fields } of changes) {
    const [state = "", verdict = ""] = [fields.state?.[0], fields.verdict?.[0]] as (string | undefined)[];
    const deed: Deed = state ? { action: "reopen", state: state === "new" ? "new" : "acknowledged" } : { action: "close", verdict: verdict as "true_positive" };
    const key = JSON.stringify(deed);
    const group = groups.get(key) ?? { ids: [], deed };
    group.ids.push(id);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** Where a page works on incidents. It knows the newest state that the person saw of each: of their own doing, or read. */
export class Desk {
  #seen = new Map<string, string>();

  constructor(readonly send = (body: Request): Promise<Changed> => api.post("/api/v1/alerts/triage", { body })) {}

  /** This state of it was shown. */
  saw({ incident_id: id, changed }: Seen): void {
    if (changed && changed > (this.#seen.get(id) ?? "")) this.#seen.set(id, changed);
  }

  /** `changed` of the newest state that was seen; null: as the detector left it. */
  expected({ incident_id: id, changed }: Seen): string | null {
    const seen = this.#seen.get(id) ?? "";
    return (changed ?? "") > seen ? changed : seen || null;
  }

  /** Does it for all that nobody changed meanwhile; what failed is told with why, and after an outage the rest too. */
  async change<S extends Seen>(incidents: readonly S[], deed: Deed): Promise<Outcome<S>> {
    const outcome: Outcome<S> = { changes: [], unchanged: 0, failed: [] };
    let left = [...incidents];
    while (left.length) {
      const part = left.slice(0, MOST_AT_ONCE);
      try {
        const done = await this.send(this.#request(part, deed));
        for (const one of done.changes) this.saw(one);
        outcome.changes.push(...done.changes);
        outcome.unchanged += done.unchanged.length;
        const missing = new Set(done.missing);
        outcome.failed.push(...part.filter((one) => missing.has(one.incident_id)).map((incident) => ({ incident, why: strings.alerts.missing })));
        left = left.slice(part.length);
      } catch (error) {
        const others = error instanceof ApiError && error.kind === CONFLICT ? error.fields : {};
        const failed = part.filter((one) => one.incident_id in others);
        outcome.failed.push(...failed.map((incident) => ({ incident, why: others[incident.incident_id] ?? "" })));
        left = left.filter((one) => !failed.includes(one));
        if (failed.length) continue;
        outcome.failed.push(...left.map((incident) => ({ incident, why: messageOf(error) })));
        break;
      }
    }
    return outcome;
  }

  /** Does it and says what came of it, then calls `after` with what failed. A closing can be undone. */
  async work<S extends Seen>(incidents: readonly S[], deed: Deed, after: (failed: Failure<S>[]) => void): Promise<void> {
    const words = strings.alerts;
    const outcome = await this.change(incidents, deed);
    const { changes, unchanged, failed } = outcome;
    const what = words.done[deed.action] ?? "";
    const undo = { label: strings.common.undo, run: () => void this.#undo(incidents, changes, after) };
    if (changes.length || unchanged) toasts.done(words.did(changes.length, unchanged, what), deed.action === "close" && changes.length ? undo : undefined);
    this.#tellFailed(failed, incidents.length, what);
    after(failed);
  }

  async #undo<S extends Seen>(incidents: readonly S[], changes: Changed["changes"], after: (failed: Failure<S>[]) => void): Promise<void> {
    const byId = new Map(incidents.map((one) => [one.incident_id, one]));
    const failed: Failure<S>[] = [];
    for (const { ids, deed } of undoing(changes)) {
      const outcome = await this.change(ids.flatMap((id) => byId.get(id) ?? []), deed);
      failed.push(...outcome.failed);
    }
    if (failed.length < changes.length) toasts.done(strings.alerts.undone(changes.length - failed.length));
    this.#tellFailed(failed, changes.length, strings.alerts.done.reopen ?? "");
    after(failed);
  }

  #request(incidents: readonly Seen[], deed: Deed): Request {
    const expected = Object.fromEntries(incidents.map((one) => [one.incident_id, this.expected(one)]));
    return { assignee: "", verdict: "", comment: "", state: "acknowledged", ...deed, incident_ids: Object.keys(expected), expected };
  }

  #tellFailed(failed: readonly Failure[], of: number, what: string): void {
    if (!failed.length) return;
    const reasons = new Map<string, number>();
    for (const { why } of failed) reasons.set(why, (reasons.get(why) ?? 0) + 1);
    toasts.failed(new Error(strings.alerts.notDone(failed.length, of, what, [...reasons])));
  }
}

/** The fields of an incident's group, as pairs of texts. */
export function groupOf(incident: Incident): [string, string][] {
  const group: unknown = incident.group_values;
  if (typeof group !== "object" || group === null || Array.isArray(group)) return [];
  return Object.entries(group).map(([field, value]) => [field, typeof value === "string" ? value : JSON.stringify(value)]);
}

export function tagsOf(incident: Incident): string[] {
  const tags: unknown = incident.tags;
  return Array.isArray(tags) ? tags.filter((tag): tag is string => typeof tag === "string") : [];
}

/** ATT&CK's techniques among tags: ["T1046"]. */
export function techniques(tags: readonly string[]): string[] {
  return tags.flatMap((tag) => /^attack\.(t\d{4}(?:\.\d{3})?)$/i.exec(tag)?.[1]?.toUpperCase() ?? []);
}
