/** Sums over what the API counts: trends, heat maps by the viewer's clock, and whom links of a graph join. */

import type { Schemas } from "./api/client";
import type { TimeRange } from "./timeRange";

/** The period of the same length before; both ends are instants, which the API takes. */
export function periodBefore(startMs: number, endMs: number): TimeRange {
  return { start: new Date(startMs - (endMs - startMs)).toISOString(), end: new Date(startMs).toISOString() };
}

/** By how many percent it grew; undefined when there was nothing before. */
export function growth(now: number, before: number): number | undefined {
  return before ? ((now - before) / before) * 100 : undefined;
}

/** Sum of several series, bucket by bucket. */
export function summed(series: readonly (readonly number[])[]): number[] {
  const length = Math.max(0, ...series.map((one) => one.length));
  return Array.from({ length }, (_one, at) => series.reduce((all, one) => all + (one[at] ?? 0), 0));
}

/** Counts by weekday (Monday first) and hour of the viewer's clock. */
export function byHour(times: readonly string[], counts: readonly number[]): number[][] {
  const cells = Array.from({ length: 7 }, () => new Array<number>(24).fill(0));
  times.forEach((time, at) => {
    const date = new Date(time);
    const row = cells[(date.getDay() + 6) % 7];
    const hour = date.getHours();
    if (row && row[hour] !== undefined) row[hour] += counts[at] ?? 0;
  });
  return cells;
}

/** Timelines of several tables on the buckets of the first; all are asked with one width. */
export function together(timelines: readonly Schemas["Timeline"][]): { times: string[]; series: number[][] } {
  const times = [...new Set(timelines.flatMap((one) => one.times))].sort();
  const place = new Map(times.map((time, at) => [time, at]));
  const series = timelines.map((one) => {
    const counts = new Array<number>(times.length).fill(0);
    const all = summed(one.series.map((part) => part.counts));
    one.times.forEach((time, at) => (counts[place.get(time) ?? 0] = all[at] ?? 0));
    return counts;
  });
  return { times, series };
}

export interface Link {
  source: number;
  target: number;
  count: number;
}

export interface Joined {
  sources: { name: string; count: number }[];
  targets: { name: string; count: number }[];
  links: Link[];
  /** Pairs for whose ends there was no room. */
  left: number;
}

/** The pairs between the busiest sources and targets, at most `most` on each side. */
export function joined(pairs: readonly Schemas["Pair"][], most: number): Joined {
  const sources = busiest(pairs.map((pair) => [String(pair.source), pair.count]), most);
  const targets = busiest(
    pairs.filter((pair) => sources.some((one) => one.name === String(pair.source))).map((pair) => [String(pair.target), pair.count]),
    most,
  );
  const from = new Map(sources.map(({ name }, at) => [name, at]));
  const to = new Map(targets.map(({ name }, at) => [name, at]));
  const links = pairs.flatMap((pair) => {
    const [source, target] = [from.get(String(pair.source)), to.get(String(pair.target))];
    return source === undefined || target === undefined ? [] : [{ source, target, count: pair.count }];
  });
  return { sources, targets, links, left: pairs.length - links.length };
}

function busiest(counted: readonly [string, number][], most: number): { name: string; count: number }[] {
  const sums = new Map<string, number>();
  for (const [name, count] of counted) sums.set(name, (sums.get(name) ?? 0) + count);
  return [...sums].map(([name, count]) => ({ name, count })).sort((a, b) => b.count - a.count).slice(0, most);
}
