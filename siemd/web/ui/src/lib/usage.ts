/** CPU, RAM, disk, network and load of hosts as series of a chart. */

import type { Schemas } from "./api/client";
import type { Metric } from "./panels";

export interface UsageSeries {
  name: string;
  values: (number | null)[];
}

/** What a metric is made of: a measurement, or two with what they are called. */
const PARTS: Record<Metric, readonly [string, "" | "read" | "written" | "received" | "sent"][]> = {
  cpu_percent: [["cpu_percent", ""]],
  ram_percent: [["ram_percent", ""]],
  disk_percent: [["disk_percent", ""]],
  load_1m: [["load_1m", ""]],
  disk: [["disk_read_bytes_s", "read"], ["disk_write_bytes_s", "written"]],
  network: [["network_received_bytes_s", "received"], ["network_sent_bytes_s", "sent"]],
};
export const MOST_HOSTS = 8;

const NEAR_MS = 5 * 60_000;

/** The value that was measured nearest to a moment; null when there is none within minutes. */
export function valueAt(startsMs: readonly number[], values: readonly (number | null)[], ms: number, widthMs: number): number | null {
  let found: number | null = null;
  let nearest = NEAR_MS + widthMs / 2;
  for (const [at, start] of startsMs.entries()) {
    const away = Math.abs(start + widthMs / 2 - ms);
    const value = values[at] ?? null;
    if (value !== null && away <= nearest) [found, nearest] = [value, away];
  }
  return found;
}

/** Where in a line of buckets a time begins and ends, as parts of its width from 0 to 1. */
export function spanIn(startsMs: readonly number[], firstMs: number, lastMs: number, widthMs: number): { from: number; to: number } | undefined {
  const [start, end] = [startsMs[0], startsMs.at(-1)];
  if (start === undefined || end === undefined || end <= start) return undefined;
  const part = (ms: number) => Math.min(1, Math.max(0, (ms - widthMs / 2 - start) / (end - start)));
  return { from: part(firstMs), to: part(lastMs) };
}

export function unitOf(metric: Metric): "percent" | "bytes" | "count" {
  return metric.endsWith("_percent") ? "percent" : metric === "load_1m" ? "count" : "bytes";
}

/** The busiest hosts' series, named by host and, of two measurements, by which. words: what those are called. */
export function usageSeries(usage: Schemas["Usage"], metric: Metric, words: Record<string, string>, alone = false): UsageSeries[] {
  const parts = PARTS[metric];
  const mean = (values: readonly (number | null)[]) => values.reduce<number>((all, value) => all + (value ?? 0), 0);
  return usage.hosts
    .map((host) => ({ host: host.host, rows: parts.map(([name, what]) => ({ what, values: host.measurements[name] ?? [] })) }))
    .sort((a, b) => mean(b.rows[0]?.values ?? []) - mean(a.rows[0]?.values ?? []))
    .slice(0, MOST_HOSTS)
    .flatMap(({ host, rows }) =>
      rows.map(({ what, values }) => ({ name: alone && what ? (words[what] ?? what) : [host, what && (words[what] ?? what)].filter(Boolean).join(" "), values })),
    );
}
