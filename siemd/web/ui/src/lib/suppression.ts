/** A suppression as people type it, and as the API takes it. */

import type { Schemas } from "./api/client";

export type Suppression = Schemas["SuppressionBody"];

export interface Form {
  name: string;
  owner: string;
  reason: string;
  /** A day, 2026-12-31, or a moment as RFC 3339 has it. */
  expires: string;
  rules: string;
  source: string;
  host: string;
  group: string;
  days: string;
  from: string;
  to: string;
  timezone: string;
}

const DAY_MS = 86_400_000;

export function emptyForm(owner: string, nowMs = Date.now()): Form {
  const expires = new Date(nowMs + 30 * DAY_MS).toISOString().slice(0, 10);
  return { name: "", owner, reason: "", expires, rules: "", source: "", host: "", group: "", days: "", from: "", to: "", timezone: "" };
}

/** The form of one that the API wrote; undefined when it holds more than the form shows. */
export function formOfEntry(name: string, entry: Record<string, unknown>): Form | undefined {
  const known = new Set(["name", "owner", "reason", "expires", "rules", "source", "host", "group", "days", "from", "to", "timezone"]);
  if (Object.keys(entry).some((key) => !known.has(key))) return undefined;
  const texts = (value: unknown) => (Array.isArray(value) ? value.join(", ") : typeof value === "string" ? value : "");
  if (entry.rules !== null && typeof entry.rules === "object" && !Array.isArray(entry.rules)) return undefined;
  const group = Object.entries((entry.group ?? {}) as Record<string, unknown>).map(([field, value]) => `${field}=${texts(value)}`);
  return {
    name, owner: texts(entry.owner), reason: texts(entry.reason), expires: texts(entry.expires),
    rules: texts(entry.rules), source: texts(entry.source), host: texts(entry.host), group: group.join("\n"),
    days: texts(entry.days), from: texts(entry.from), to: texts(entry.to), timezone: texts(entry.timezone),
  };
}

function list(text: string): string[] {
  return text.split(",").map((one) => one.trim()).filter(Boolean);
}

function oneOrMany(text: string): string | string[] | undefined {
  const all = list(text);
  return all.length > 1 ? all : all[0];
}

/** Throws a RangeError when a line of `group` is not field=value. */
export function bodyOf(form: Form): Suppression {
  const group: Record<string, string | string[]> = {};
  for (const line of form.group.split("\n").map((one) => one.trim()).filter(Boolean)) {
    const at = line.indexOf("=");
    const value = at > 0 ? oneOrMany(line.slice(at + 1)) : undefined;
    if (value === undefined) throw new RangeError(line);
    group[line.slice(0, at).trim()] = value;
  }
  const source = oneOrMany(form.source);
  const host = oneOrMany(form.host);
  const days = oneOrMany(form.days);
  return {
    owner: form.owner.trim(), reason: form.reason.trim(), expires: form.expires, rules: oneOrMany(form.rules) ?? "any",
    ...(source ? { source } : {}), ...(host ? { host } : {}), ...(Object.keys(group).length ? { group } : {}),
    ...(days ? { days } : {}), ...(form.from ? { from: form.from } : {}), ...(form.to ? { to: form.to } : {}),
    ...(form.timezone.trim() ? { timezone: form.timezone.trim() } : {}),
  };
}

/** A name that the API takes, out of what it is about. */
export function nameFor(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-+|-+$/g, "").slice(0, 64);
}
