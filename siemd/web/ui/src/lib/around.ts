/** What was stored of those whom an incident is about: which questions of which tables, and one list out of the answers. */

import type { Filter } from "./filters";
import { groupOf, type Incident } from "./triage";

export const LOGS = ["security_logs", "system_logs", "application_logs", "channel_logs"] as const;
const NETWORK = ["logs", "connections"] as const;
export type Table = (typeof NETWORK)[number] | (typeof LOGS)[number] | "alerts";

export interface Entity {
  kind: "address" | "user" | "host";
  value: string;
}

export interface Question {
  table: Table;
  filter: Filter;
}

export interface Happening {
  table: Table;
  /** The same for a row that several questions find. */
  key: string;
  ms: number;
  row: Record<string, unknown>;
}

const ADDRESSES = ["source_ip", "destination_ip", "IpAddress", "fields.IpAddress"];
const USERS = ["user_name", "TargetUserName", "SubjectUserName", "User", "fields.TargetUserName", "fields.SubjectUserName"];

/** Whom an incident is about: addresses, users, and at last its host. */
export function entitiesOf(incident: Incident): Entity[] {
  const group = new Map(groupOf(incident));
  const named = (kind: Entity["kind"], names: readonly string[]) =>
    names.flatMap((name): Entity[] => {
      const value = group.get(name);
      return value && value !== "-" ? [{ kind, value }] : [];
    });
  const all = [...named("address", ADDRESSES), ...named("user", USERS), ...(incident.host ? [{ kind: "host", value: incident.host } as const] : [])];
  return all.filter(({ kind, value }, at) => all.findIndex((one) => one.kind === kind && one.value === value) === at);
}

/** By which fields each table knows an entity of a kind. */
const KNOWN: Record<Entity["kind"], [readonly Table[], readonly string[]][]> = {
  address: [[NETWORK, ["source_ip", "destination_ip"]], [LOGS, ["source_ip"]], [["alerts"], ["group_values.source_ip", "group_values.destination_ip", "group_values.IpAddress"]]],
  user: [[["logs", ...LOGS], ["user_name"]], [["alerts"], ["group_values.user_name", "group_values.TargetUserName"]]],
  host: [[[...NETWORK, ...LOGS, "alerts"], ["host"]], [LOGS, ["computer"]]],
};

/** Each field of each table that may hold one of the entities. */
export function questionsOf(entities: readonly Entity[]): Question[] {
  return entities.flatMap(({ kind, value }) =>
    KNOWN[kind].flatMap(([tables, fields]) => tables.flatMap((table) => fields.map((field): Question => ({ table, filter: { field, op: "eq", value } })))),
  );
}

/**
 * One side of a moment: the answers to several questions, each told from the moment on outwards and page by page, as one
 * list without doubles. What an answer that goes on may still bring is not overtaken.
 */
export class Side {
  #parts: { happenings: Happening[]; next: string; ended: boolean }[];

  /** direction: 1 after the moment, -1 before it. */
  constructor(readonly direction: 1 | -1, questions: number) {
    this.#parts = Array.from({ length: questions }, () => ({ happenings: [], next: "", ended: false }));
  }

  cursor(part: number): string {
    return this.#parts[part]?.next ?? "";
  }

  take(part: number, happenings: readonly Happening[], next: string): void {
    const one = this.#parts[part];
    if (!one) return;
    one.happenings.push(...happenings);
    one.next = next;
    one.ended = !next;
  }

  /** The nearest ones that are known for sure, nearest first. */
  nearest(most: number): Happening[] {
    const horizon = this.#horizon();
    const found = new Map<string, Happening>();
    for (const { happenings } of this.#parts) {
      for (const one of happenings) if (this.#away(one) <= horizon) found.set(one.key, one);
    }
    return [...found.values()].sort((a, b) => this.#away(a) - this.#away(b)).slice(0, most);
  }

  /** Which questions are to be asked on, so that this many are known. */
  hungry(wanted: number): number[] {
    if (this.nearest(wanted).length >= wanted) return [];
    const horizon = this.#horizon();
    return this.#parts.flatMap((part, at) => (!part.ended && this.#reach(part.happenings) <= horizon ? [at] : []));
  }

  /** Whether there is, or may be, more than this many. */
  goesOn(shown: number): boolean {
    return this.#parts.some((part) => !part.ended) || this.nearest(shown + 1).length > shown;
  }

  #away(one: Happening): number {
    return one.ms * this.direction;
  }

  #reach(happenings: readonly Happening[]): number {
    const last = happenings.at(-1);
    return last ? this.#away(last) : Number.NEGATIVE_INFINITY;
  }

  #horizon(): number {
    return Math.min(...this.#parts.map((part) => (part.ended ? Number.POSITIVE_INFINITY : this.#reach(part.happenings))));
  }
}
