/** Working on incidents: one thing for one or many, with a way back. */

import { api, type Schemas } from "./api/client";
import { toasts } from "./toasts.svelte";
import { strings } from "../strings";

export type Incident = Schemas["Incident"];
type Request = Schemas["TriageRequest"];

/** The API's most in one request. */
const MOST = 500;

/** Does it, says so, and calls `after`; an undo reopens what was closed. Returns whether it was done. */
export async function triage(request: Partial<Request> & Pick<Request, "action" | "incident_ids">, after: () => void): Promise<boolean> {
  const body = { assignee: "", verdict: "", comment: "", expected: {}, ...request } as Request;
  try {
    for (let at = 0; at < request.incident_ids.length; at += MOST) {
      await api.post("/api/v1/alerts/triage", { body: { ...body, incident_ids: request.incident_ids.slice(at, at + MOST) } });
    }
  } catch (error) {
    toasts.failed(error);
    after();
    return false;
  }
  const words = strings.alerts;
  const undo = { label: strings.common.undo, run: () => void triage({ action: "reopen", incident_ids: request.incident_ids }, after) };
  toasts.done(words.did(request.incident_ids.length, words.done[request.action] ?? ""), request.action === "close" ? undo : undefined);
  after();
  return true;
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

/** Whom an incident is about, for questions to other tables: an address first, else a user, else its host. */
export function entityOf(incident: Incident): { value: string; kind: "address" | "user" | "host" } {
  const group = new Map(groupOf(incident));
  for (const name of ["source_ip", "destination_ip", "IpAddress"]) {
    const value = group.get(name);
    if (value && value !== "-") return { value, kind: "address" };
  }
  for (const name of ["user_name", "TargetUserName", "SubjectUserName", "User"]) {
    const value = group.get(name);
    if (value && value !== "-") return { value, kind: "user" };
  }
  return { value: incident.host, kind: "host" };
}
