/** Filters as the address and the API write them, FIELD:OP:VALUE, and what a click on a value makes of them. */

export const OPERATORS = [
  "eq", "ne", "in", "not_in", "prefix", "contains", "gt", "gte", "lt", "lte", "cidr", "exists",
] as const;
export type Operator = (typeof OPERATORS)[number];

export interface Filter {
  field: string;
  op: Operator;
  value: string;
}

/** What the API takes at once. */
export const MOST_FILTERS = 20;
const MOST_CHARACTERS = 4000;
const FIELD = /^[A-Za-z_][A-Za-z0-9_.-]*$/;
const JSON_WANTED = /^\{/;

/** A filter out of an address; undefined when it is none. */
export function parseFilter(written: string): Filter | undefined {
  if (written.length > MOST_CHARACTERS) return undefined;
  if (JSON_WANTED.test(written)) return parseJson(written);
  const [field = "", op = "", ...rest] = written.split(":");
  const operator = OPERATORS.find((name) => name === op);
  if (!operator || !FIELD.test(field)) return undefined;
  return { field, op: operator, value: rest.join(":") };
}

function parseJson(written: string): Filter | undefined {
  try {
    const read = JSON.parse(written) as { field?: unknown; op?: unknown; value?: unknown };
    const operator = OPERATORS.find((name) => name === read.op);
    if (!operator || typeof read.field !== "string" || !read.field) return undefined;
    return { field: read.field, op: operator, value: String(read.value ?? "") };
  } catch {
    return undefined;
  }
}

/** As short as it can be; as JSON when a name holds what separates. */
export function writeFilter(filter: Filter): string {
  const { field, op, value } = filter;
  return FIELD.test(field) ? `${field}:${op}:${value}` : JSON.stringify(structured(filter));
}

/** As the API takes it within JSON, where a list is a list. */
export function structured({ field, op, value }: Filter): { field: string; op: Operator; value: string | string[] | boolean } {
  if (op === "in" || op === "not_in") return { field, op, value: value.split(",") };
  return { field, op, value: op === "exists" ? value !== "false" : value };
}

/** Something in an address that should be a filter and can't be used: it is none, or it is one too many. */
export interface Unused {
  written: string;
  why: "unread" | "tooMany";
}

/** The filters of an address, each once, and what there can't be used: rows without it would be others than asked for. */
export function readFilters(all: readonly string[]): { filters: Filter[]; unused: Unused[] } {
  const filters = new Map<string, Filter>();
  const unused = new Map<string, Unused>();
  for (const written of all) {
    const filter = parseFilter(written);
    const key = filter ? writeFilter(filter) : written;
    if (!filter) unused.set(key, { written, why: "unread" });
    else if (filters.has(key) || filters.size < MOST_FILTERS) filters.set(key, filter);
    else unused.set(key, { written: key, why: "tooMany" });
  }
  return { filters: [...filters.values()], unused: [...unused.values()] };
}

/**
 * The filters after a click on a value: "include" shows only it, "exclude" hides it. The opposite of the same value goes,
 * and so does a second click's double.
 */
export function withValue(filters: readonly Filter[], field: string, value: string, how: "include" | "exclude"): Filter[] {
  const kept = filters.filter((one) => !(one.field === field && one.value === value && (one.op === "eq" || one.op === "ne")));
  const others = how === "include" ? kept.filter((one) => !(one.field === field && one.op === "eq")) : kept;
  return [...others, { field, op: how === "include" ? "eq" : "ne", value } as Filter];
}

/** The filters the other way round: what was shown is hidden. undefined: there is no opposite. */
export function negated(filter: Filter): Filter | undefined {
  const opposite: Partial<Record<Operator, Operator>> = {
    eq: "ne", ne: "eq", in: "not_in", not_in: "in", gt: "lte", lte: "gt", lt: "gte", gte: "lt",
  };
  const op = opposite[filter.op];
  return op ? { ...filter, op } : undefined;
}
