/**
 * What stands on an Overview: its panels, how they are moved and resized, and how a view and an address hold them.
 *
 * Views are shared and addresses are sent around, so that whatever is read here may be made up by anybody.
 */

import { type Filter, parseFilter } from "./filters";

export const KINDS = [
  "incidents", "number", "hosts", "drops", "bar", "area", "line", "donut", "heat", "list", "table", "graph", "usage",
] as const;
export type Kind = (typeof KINDS)[number];

export const EVENT_TABLES = ["logs", "connections", "security_logs", "system_logs", "application_logs", "channel_logs"] as const;
export const TABLES = ["all", "alerts", ...EVENT_TABLES] as const;
export type Table = (typeof TABLES)[number];
/** A table that the API counts. */
export type OneTable = Exclude<Table, "all">;

export const METRICS = ["cpu_percent", "ram_percent", "disk_percent", "disk", "network", "load_1m"] as const;
export type Metric = (typeof METRICS)[number];

const RECORDS = ["event_id", "level", "channel", "provider", "computer", "user_name", "source_ip", "platform", "host", "source"];
/** What a table is counted by; `fields.NAME` beside them. */
export const FIELDS: Record<OneTable, readonly string[]> = {
  alerts: ["level", "rule", "title", "status", "host"],
  logs: ["event_type", "source_ip", "destination_ip", "destination_port", "source_port", "protocol", "user_name", "host", "source"],
  connections: ["source_ip", "destination_ip", "destination_port", "source_port", "protocol", "state", "fields.service", "host", "source"],
  security_logs: RECORDS,
  system_logs: RECORDS,
  application_logs: RECORDS,
  channel_logs: RECORDS,
};
const ALSO_FILTERED: Record<OneTable, readonly string[]> = {
  alerts: ["rule_id", "reason", "count"],
  logs: ["message", "count"],
  connections: ["duration_s", "source_bytes", "destination_bytes", "source_packets", "destination_packets", "event_type"],
  security_logs: ["message", "record_id"],
  system_logs: ["message", "record_id"],
  application_logs: ["message", "record_id"],
  channel_logs: ["message", "record_id"],
};

export interface Panel {
  id: string;
  kind: Kind;
  table: Table;
  /** The field that is counted, a series each for time series; a Metric for usage. */
  by: string;
  /** Empty: made of the rest. */
  title: string;
  /** Filters of its own, as the API writes them. */
  filters: string[];
  words: string;
  /** Columns of twelve, and rows of ROW_PX. */
  w: number;
  h: number;
}

export const COLUMNS = 12;
export const ROW_PX = 60;
export const GAP_PX = 12;
export const MOST_PANELS = 40;
const LEAST: Record<Kind, [number, number]> = {
  incidents: [2, 2], number: [2, 2], hosts: [2, 2], drops: [2, 2], bar: [3, 3], area: [3, 3], line: [3, 3], donut: [3, 3],
  heat: [4, 4], list: [2, 3], table: [3, 3], graph: [4, 3], usage: [3, 3],
};
const MOST_ROWS = 12;

/** Which parts of a panel its kind looks at. */
export interface Needs {
  tables: readonly Table[];
  by: "no" | "maybe" | "field" | "metric";
}

const ONE_TABLE: readonly Table[] = ["alerts", ...EVENT_TABLES];
const NEEDS: Record<Kind, Needs> = {
  incidents: { tables: [], by: "no" },
  hosts: { tables: [], by: "no" },
  drops: { tables: [], by: "no" },
  usage: { tables: [], by: "metric" },
  number: { tables: TABLES, by: "no" },
  heat: { tables: TABLES, by: "no" },
  bar: { tables: TABLES, by: "maybe" },
  area: { tables: TABLES, by: "maybe" },
  line: { tables: TABLES, by: "maybe" },
  donut: { tables: ONE_TABLE, by: "field" },
  list: { tables: ONE_TABLE, by: "field" },
  table: { tables: ONE_TABLE, by: "no" },
  graph: { tables: ["logs", "connections"], by: "no" },
};

export function needsOf(kind: Kind): Needs {
  return NEEDS[kind];
}

/** A panel that can be asked for: what does not go together is brought to what does. */
export function fitting(panel: Panel): Panel {
  const needs = NEEDS[panel.kind];
  const table = needs.tables.includes(panel.table) ? panel.table : (needs.tables.find((one) => one !== "all") ?? "logs");
  const [leastW, leastH] = LEAST[panel.kind];
  return {
    ...panel,
    table,
    by: fittingField(needs, table, panel.by),
    w: between(panel.w, leastW, COLUMNS),
    h: between(panel.h, leastH, MOST_ROWS),
  };
}

function fittingField(needs: Needs, table: Table, by: string): string {
  if (needs.by === "metric") return METRICS.find((name) => name === by) ?? "cpu_percent";
  if (needs.by === "no" || table === "all") return "";
  if (isField(table, by) || (needs.by === "maybe" && by === "")) return by;
  return needs.by === "maybe" ? "" : (FIELDS[table][0] ?? "host");
}

function isField(table: OneTable, name: string): boolean {
  return FIELDS[table].includes(name) || (table !== "alerts" && /^fields\.[^"\\*?%`']{1,100}$/.test(name));
}

function between(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, Math.round(Number.isFinite(value) ? value : least)));
}

/** The filters of the page that a table can be asked with. */
export function filtersFor<F extends Pick<Filter, "field">>(table: OneTable, filters: readonly F[]): F[] {
  return filters.filter(({ field }) => isField(table, field) || ALSO_FILTERED[table].includes(field));
}

/** A panel moved to another place of the list. */
export function moved<T>(list: readonly T[], from: number, to: number): T[] {
  const target = Math.min(list.length - 1, Math.max(0, to));
  const rest = list.filter((_one, index) => index !== from);
  const one = list[from];
  return one === undefined ? [...list] : [...rest.slice(0, target), one, ...rest.slice(target)];
}

export function resized(panel: Panel, dw: number, dh: number): Panel {
  return fitting({ ...panel, w: panel.w + dw, h: panel.h + dh });
}

type Loose = Record<string, unknown>;

const text = (value: unknown, most: number): string => (typeof value === "string" ? value.slice(0, most) : "");

/** A panel out of anything; undefined when it is none. */
export function readPanel(from: unknown, id: string): Panel | undefined {
  if (typeof from !== "object" || from === null) return undefined;
  const loose = from as Loose;
  const kind = KINDS.find((name) => name === loose["kind"]);
  if (!kind) return undefined;
  const filters = Array.isArray(loose["filters"]) ? loose["filters"] : [];
  return fitting({
    id,
    kind,
    table: TABLES.find((name) => name === loose["table"]) ?? "logs",
    by: text(loose["by"], 120),
    title: text(loose["title"], 120),
    filters: filters.map((one) => text(one, 1000)).filter((one) => parseFilter(one) !== undefined).slice(0, 10),
    words: text(loose["words"], 200),
    w: Number(loose["w"]),
    h: Number(loose["h"]),
  });
}

export function readPanels(from: unknown): Panel[] {
  if (!Array.isArray(from)) return [];
  const taken = new Set<string>();
  return from.slice(0, MOST_PANELS).flatMap((one: unknown, index) => {
    const wanted = String((one as Loose | null | undefined)?.["id"] ?? "");
    const id = /^\d{1,4}$/.test(wanted) && !taken.has(wanted) ? wanted : `${index + 10_000}`;
    taken.add(id);
    return readPanel(one, id) ?? [];
  });
}

const ORDER = ["id", "kind", "w", "h", "table", "by", "title", "words", "filters"] as const;

/** Panels as an address holds them: short, and without a character that has to be escaped. */
export function encodePanels(panels: readonly Panel[]): string {
  const lists = panels.map((panel) => {
    const list = ORDER.map((name) => panel[name]) as unknown[];
    while (list.length && (list.at(-1) === "" || (Array.isArray(list.at(-1)) && !(list.at(-1) as unknown[]).length))) list.pop();
    return list;
  });
  const bytes = new TextEncoder().encode(JSON.stringify(lists));
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The panels of an address; undefined when there are none in it. */
export function decodePanels(written: string): Panel[] | undefined {
  if (!written) return undefined;
  try {
    const bytes = Uint8Array.from(atob(written.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
    const lists = JSON.parse(new TextDecoder().decode(bytes)) as unknown;
    if (!Array.isArray(lists)) return undefined;
    return readPanels(
      lists.map((list: unknown) => (Array.isArray(list) ? Object.fromEntries(ORDER.map((name, at) => [name, list[at]])) : undefined)),
    );
  } catch {
    return undefined;
  }
}

/** A number that no panel has yet. */
export function freeId(panels: readonly Panel[]): string {
  return String(1 + Math.max(0, ...panels.map((panel) => Number(panel.id) || 0)));
}

function made(kind: Kind, w: number, h: number, table: Table = "logs", by = "", filters: string[] = [], title = ""): Omit<Panel, "id"> {
  return { kind, w, h, table, by, title, filters, words: "" };
}

/** Facts of the sensor that tell of somebody who looks around. */
export const PROBES = "event_type:in:tcp_probe,udp_probe,sctp_probe,ip_protocol_probe,os_probe,service_probe,ping,arp_request";

/** A panel that a page shows without a frame to move it by. */
export function fixed(kind: Kind, table: Table, by = "", filters: string[] = []): Panel {
  return { id: "", ...made(kind, 12, 4, table, by, filters) };
}

/** What is wrong, what goes on, who does it, and how the hosts fare: the view of who never made one. */
export function defaultPanels(titles: { probes: string; logins: string }): Panel[] {
  return [
    made("incidents", 4, 2),
    made("number", 3, 2, "all"),
    made("hosts", 3, 2),
    made("drops", 2, 2),
    made("bar", 7, 4, "all"),
    made("bar", 5, 4, "alerts", "level"),
    made("table", 8, 5, "alerts"),
    made("donut", 4, 5, "alerts", "rule"),
    made("graph", 7, 5, "logs", "", [PROBES], titles.probes),
    made("heat", 5, 5, "all"),
    made("list", 3, 5, "logs", "source_ip"),
    made("list", 3, 5, "logs", "destination_ip"),
    made("list", 3, 5, "security_logs", "user_name", [], titles.logins),
    made("list", 3, 5, "alerts", "rule"),
    made("usage", 3, 4, "logs", "cpu_percent"),
    made("usage", 3, 4, "logs", "ram_percent"),
    made("usage", 3, 4, "logs", "disk_percent"),
    made("usage", 3, 4, "logs", "network"),
  ].map((panel, index) => ({ ...panel, id: String(index + 1) }));
}
