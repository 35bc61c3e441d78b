/** Where values lead, as `href` and `go` take it: one place that knows how Search and Alerts read their addresses. */

import { type Filter, writeFilter } from "./filters";
import { carried } from "./range.svelte";

function address(path: string, more: [string, string][]): string {
  const query = new URLSearchParams(carried());
  for (const [name, value] of more) query.append(name, value);
  const text = query.toString();
  return path + (text ? `?${text}` : "");
}

/** The rows of a table that meet filters, in Search; incidents, in Alerts. */
export function rowsPath(table: string, filters: readonly Filter[] = [], words = ""): string {
  const more: [string, string][] = filters.map((one) => ["filter", writeFilter(one)]);
  if (words) more.push(["q", words]);
  if (table === "alerts") return address("/alerts", more);
  return address("/search", [["table", table], ...more]);
}

export function incidentPath(id: string): string {
  return address(`/alerts/${encodeURIComponent(id)}`, []);
}

export function hostPath(name: string): string {
  return address(`/hosts/${encodeURIComponent(name)}`, []);
}
