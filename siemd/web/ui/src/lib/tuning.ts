/** What a rule's file says of its numbers, and a form of changes as the overlay's entry. */

import type { Schemas } from "./api/client";

export type Tuning = Schemas["Tuning"];
export const OPERATORS = ["gte", "gt", "lte", "lt", "eq"] as const;
export type Operator = (typeof OPERATORS)[number];

/** What the form holds, as people type it. Empty: as in the rule's file. */
export interface Form {
  level: string;
  operator: Operator;
  threshold: string;
  timespan: string;
  group: string;
  filter: string;
  note: string;
}

export class WrongForm extends Error {
  constructor(readonly field: keyof Form) {
    super(field);
  }
}

/**
 * The condition and the timespan that a correlation's file gives; nothing where the text is laid out otherwise.
 * id: of the rule that is meant, where a file holds several.
 */
export function told(source: string, id = ""): { operator?: Operator; threshold?: string; timespan?: string } {
  const documents = source.split(/^---\s*$/m).filter((one) => /^correlation:/m.test(one));
  const meant = documents.length > 1 ? documents.find((one) => id !== "" && one.includes(id)) : documents[0];
  const correlation = meant?.split(/^correlation:/m)[1];
  if (!correlation) return {};
  const number = /^\s*(?:condition:\s*\{.*?)?\b(gte|gt|lte|lt|eq):\s*(\d+(?:\.\d+)?)/m.exec(correlation);
  const timespan = /^\s*timespan:\s*['"]?(\d+[smhdwMy])/m.exec(correlation);
  return {
    ...(number?.[1] && number[2] ? { operator: number[1] as Operator, threshold: number[2] } : {}),
    ...(timespan?.[1] ? { timespan: timespan[1] } : {}),
  };
}

export function formOf(tuning: Tuning | null, source: string, id = ""): Form {
  const condition = Object.entries(tuning?.condition ?? {})[0];
  const operator = OPERATORS.find((one) => one === (condition?.[0] ?? told(source, id).operator)) ?? "gte";
  return {
    level: tuning?.level ?? "",
    operator,
    threshold: condition ? String(condition[1]) : "",
    timespan: tuning?.timespan ?? "",
    group: (tuning?.group ?? []).join(", "),
    filter: tuning?.filter ? JSON.stringify(tuning.filter) : "",
    note: tuning?.note ?? "",
  };
}

/** The entry that a form means; what the form does not show (enabled, alert) stays as it was. Throws WrongForm. */
export function tuningOf(form: Form, before: Tuning | null): Tuning {
  const tuning: Tuning = { note: form.note.trim() };
  if (before?.enabled !== undefined && before.enabled !== null) tuning.enabled = before.enabled;
  if (before?.alert !== undefined && before.alert !== null) tuning.alert = before.alert;
  if (form.level) tuning.level = form.level as NonNullable<Tuning["level"]>;
  if (form.threshold.trim()) {
    const number = Number(form.threshold);
    if (!Number.isFinite(number)) throw new WrongForm("threshold");
    tuning.condition = { [form.operator]: number };
  }
  if (form.timespan.trim()) tuning.timespan = form.timespan.trim();
  const group = form.group.split(",").map((one) => one.trim()).filter(Boolean);
  if (group.length) tuning.group = group;
  if (form.filter.trim()) tuning.filter = filterOf(form.filter);
  return tuning;
}

function filterOf(text: string): NonNullable<Tuning["filter"]> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new WrongForm("filter");
  }
  if (typeof value !== "object" || value === null) throw new WrongForm("filter");
  return value as NonNullable<Tuning["filter"]>;
}

/** Whether an entry changes anything. */
export function changes(tuning: Tuning): boolean {
  return Object.keys(tuning).some((name) => name !== "note");
}

/** The lines of a YAML text as parts to colour: a comment, a key, the rest. */
export function yamlParts(line: string): { kind: "comment" | "key" | "rest"; text: string }[] {
  const comment = /^\s*#/.test(line);
  if (comment) return [{ kind: "comment", text: line }];
  const key = /^(\s*(?:- )?)([^\s:'"#][^:'"#]{0,80}):(?=\s|$)/.exec(line);
  if (!key) return [{ kind: "rest", text: line }];
  return [
    { kind: "rest", text: key[1] ?? "" },
    { kind: "key", text: `${key[2] ?? ""}:` },
    { kind: "rest", text: line.slice(key[0].length) },
  ];
}
