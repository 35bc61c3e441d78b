/** What the search page knows of tables: which columns show at first, and by what the histogram is parted. */

import type { Schemas } from "./api/client";
import { OPERATORS, type Operator } from "./filters";

export const TABLES = ["logs", "connections", "security_logs", "system_logs", "application_logs", "channel_logs", "usage_data"] as const;
export type TableName = (typeof TABLES)[number];
export type EventRow = Record<string, unknown>;

const RECORDS = ["event_time", "computer", "event_id", "level", "user_name", "message"];
const SHOWN: Record<TableName, string[]> = {
  logs: ["time", "event_type", "source_ip", "destination_ip", "destination_port", "message"],
  connections: ["time", "source_ip", "destination_ip", "destination_port", "protocol", "fields.service", "state", "duration_s", "source_bytes", "destination_bytes"],
  security_logs: RECORDS, system_logs: RECORDS, application_logs: RECORDS, channel_logs: ["event_time", "channel", "event_id", "level", "message"],
  usage_data: ["time", "host", "cpu_percent", "ram_percent", "disk_percent", "load_1m"],
};
const PARTED: Record<TableName, string> = {
  logs: "event_type", connections: "", security_logs: "event_id", system_logs: "level", application_logs: "level", channel_logs: "channel", usage_data: "host",
};

export function shownColumns(table: TableName, chosen: readonly string[], known: readonly string[]): string[] {
  const left = chosen.filter((name) => known.includes(name) || name.startsWith("fields."));
  return left.length ? left : SHOWN[table];
}

export const partedBy = (table: TableName): string => PARTED[table];
export const timeColumn = (table: TableName): string => (SHOWN[table][0] ?? "time");

/** A value of a row, also of a member of its `fields`. */
export function valueOf(row: EventRow, name: string): unknown {
  if (!name.startsWith("fields.")) return row[name];
  const fields = row.fields;
  return typeof fields === "object" && fields !== null ? (fields as EventRow)[name.slice(7)] : undefined;
}

/** Every field of a row with a value: its columns, then the members of `fields`. */
export function allFields(row: EventRow): [string, unknown][] {
  const columns = Object.entries(row).filter(([name]) => name !== "fields");
  const fields = typeof row.fields === "object" && row.fields !== null ? Object.entries(row.fields as EventRow) : [];
  return [...columns, ...fields.map(([name, value]): [string, unknown] => [`fields.${name}`, value])].filter(([, value]) => value !== "" && value !== null && value !== undefined);
}

/** How wide a column is, by what stands in it. */
export function widthOf(name: string): string {
  if (name === "message") return "minmax(20rem, 1fr)";
  if (name === "time" || name === "event_time") return "10rem";
  if (/(_ip|computer|host|channel|provider|event_type)$/.test(name)) return "minmax(8rem, 12rem)";
  return "minmax(6rem, 9rem)";
}

const OF_ALL: readonly Operator[] = ["eq", "ne", "in", "not_in"];

/** What a field of a table can be filtered by; a member of `fields` by everything. */
export function operatorsOf(name: string, known: readonly Pick<Schemas["FieldInfo"], "name" | "kind" | "address">[]): readonly Operator[] {
  const info = known.find((one) => one.name === name);
  if (!info) return name.startsWith("fields.") ? OPERATORS : [];
  if (info.kind === "object") return [];
  if (info.kind === "text") return [...OF_ALL, "prefix", "contains", ...(info.address ? (["cidr"] as const) : []), "exists"];
  if (info.kind === "list") return [...OF_ALL, "contains", "exists"];
  return [...OF_ALL, "gt", "gte", "lt", "lte", "exists"];
}
