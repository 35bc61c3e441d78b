/**
 * What is typed into the filter bar, and what could follow: words, phrases in quotes, and filters FIELD:VALUE or
 * FIELD:OP:VALUE, whose value stands in quotes when it holds a space or a colon (a quote within is written twice).
 */

import { type Filter, OPERATORS, type Operator, writeFilter } from "./filters";

export interface Typed {
  /** Filters as an address holds them, also such as can't be used. */
  filters: string[];
  words: string;
}

/** Where one types: in the name of a field, or (field) after it; value: what stands there of a value, without quotes. */
export interface Place {
  from: number;
  to: number;
  field: string;
  op: Operator | undefined;
  value: string;
}

/** Something to choose, and the text that then stands at from–to. */
export interface Offer {
  kind: "field" | "operator" | "value";
  label: string;
  note: string;
  text: string;
  from: number;
  to: number;
}

const PIECE = /[^\s":]+:(?:[a-z_]+:)?"(?:[^"]|"")*"?|-?"[^"]*"?|\S+/g;
const FILTER = /^([^\s":]+):(?:([a-z_]+):)?([^]*)$/;
const PART_OF_ADDRESS = /^[a-f]{1,4}$/;
const LISTS: readonly (Operator | undefined)[] = ["in", "not_in"];
const MOST_OFFERED = 20;
const MOST_CHARACTERS = 300; // of a value that is offered: what is typed has an end

export function quoted(value: string): string {
  return /[\s":]/.test(value) || value === "" ? `"${value.replaceAll('"', '""')}"` : value;
}

function unquoted(written: string): string {
  if (!written.startsWith('"')) return written;
  return written.replace(/^"((?:[^"]|"")*)"?$/, "$1").replaceAll('""', '"');
}

/** Filters and words apart; isField: what stands before a colon is one. */
export function readTyped(text: string, isField: (name: string) => boolean): Typed {
  const filters: string[] = [];
  const words: string[] = [];
  for (const [piece] of text.matchAll(PIECE)) {
    const written = asFilter(piece, isField);
    if (written === undefined) words.push(piece);
    else filters.push(written);
  }
  return { filters, words: words.join(" ") };
}

function asFilter(piece: string, isField: (name: string) => boolean): string | undefined {
  const [, field = "", maybe = "", rest = ""] = FILTER.exec(piece) ?? [];
  if (!isField(field)) return undefined;
  const made = (op: Operator, value: string) => writeFilter({ field, op, value } satisfies Filter);
  const op = OPERATORS.find((name) => name === maybe);
  if (op) return made(op, unquoted(rest));
  if (!maybe) return rest === "exists" ? made("exists", "true") : made("eq", unquoted(rest));
  // A word where an operator stands is a mistyped one, which the bar tells; it may be the start of an address though.
  return PART_OF_ADDRESS.test(maybe) ? made("eq", `${maybe}:${rest}`) : piece;
}

/** What is being typed at the caret; undefined within a phrase, for which nothing can be offered. */
export function placeAt(text: string, caret: number): Place | undefined {
  const found = [...text.matchAll(PIECE)].find((one) => one.index < caret && caret <= one.index + one[0].length);
  const from = found?.index ?? caret;
  const before = text.slice(from, caret);
  if (/^-?"/.test(before)) return undefined;
  const open = (before.match(/"/g)?.length ?? 0) % 2 === 1; // what follows an open quote may be other words
  const to = open ? caret : from + (found?.[0].length ?? 0);
  const [, field = "", maybe = "", rest = ""] = FILTER.exec(before) ?? [];
  const op = OPERATORS.find((name) => name === maybe);
  const value = field ? unquoted(op || !maybe ? rest : `${maybe}:${rest}`) : before;
  return { from, to, field, op, value };
}

/** Names of fields that hold what was typed; those that begin so come first. */
export function fieldOffers({ from, to, value }: Place, fields: readonly string[]): Offer[] {
  const typed = value.toLowerCase();
  const found = fields.filter((name) => name.toLowerCase().includes(typed) && !/[\s":]/.test(name));
  const first = found.filter((name) => name.toLowerCase().startsWith(typed));
  return [...new Set([...first, ...found])]
    .slice(0, MOST_OFFERED)
    .map((name) => ({ kind: "field", label: name, note: "", text: `${name}:`, from, to }));
}

/** Operators that a field takes, while none is there; told: what each is called. */
export function operatorOffers(
  { from, to, field, op, value }: Place, operators: readonly Operator[], told: Readonly<Record<Operator, string>>,
): Offer[] {
  if (op) return [];
  return operators
    .filter((name) => name.startsWith(value) || told[name].split(" ").some((word) => word.startsWith(value)))
    .map((name) => ({ kind: "operator", label: told[name], note: name, text: `${field}:${name}:`, from, to }));
}

/** Values that hold what was typed, in quotes where that is needed; of a list, what comes after its last comma. */
export function valueOffers({ from, to, field, op, value }: Place, values: readonly { value: string; note: string }[]): Offer[] {
  const isList = LISTS.includes(op);
  const kept = isList ? value.slice(0, value.lastIndexOf(",") + 1) : "";
  const typed = value.slice(kept.length).toLowerCase();
  const taken = kept.split(",");
  return values
    .filter((one) => one.value && one.value.length <= MOST_CHARACTERS && !/[\r\n]/.test(one.value))
    .filter((one) => !isList || !(one.value.includes(",") || taken.includes(one.value)))
    .filter((one) => one.value.toLowerCase().includes(typed))
    .map((one) => ({
      kind: "value", label: one.value, note: one.note, text: `${field}:${op ? `${op}:` : ""}${quoted(kept + one.value)}${isList ? "" : " "}`, from, to,
    }));
}
