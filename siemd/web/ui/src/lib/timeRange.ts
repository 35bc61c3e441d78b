/** Time ranges as people say them ("-24h" to "now", or two instants), and what they are at a given moment. */

export interface TimeRange {
  /** Relative such as "-24h", or an instant in RFC 3339; `end` "now" for a range that moves along. */
  start: string;
  end: string;
}

export interface Instants {
  startMs: number;
  endMs: number;
}

export const PRESETS = ["-5m", "-15m", "-1h", "-6h", "-24h", "-7d", "-30d", "-90d"] as const;
export const DEFAULT_RANGE: TimeRange = { start: "-24h", end: "now" };

const UNITS_MS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3 };
const RELATIVE = /^-(\d{1,6})([smhdw])$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)$/;

/** An end of a range at a moment, in milliseconds; undefined when it is no time. */
export function instantOf(text: string, nowMs: number): number | undefined {
  if (text === "now" || text === "") return nowMs;
  const relative = RELATIVE.exec(text);
  if (relative) return nowMs - Number(relative[1]) * (UNITS_MS[relative[2] ?? ""] ?? 0);
  const parsed = INSTANT.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(parsed) ? undefined : parsed;
}

/** The range of a query; the fallback when what stands there is none. */
export function parseRange(start: string | null, end: string | null, nowMs = Date.now()): TimeRange {
  const range = { start: start ?? DEFAULT_RANGE.start, end: end ?? DEFAULT_RANGE.end };
  const from = instantOf(range.start, nowMs);
  const to = instantOf(range.end, nowMs);
  return from === undefined || to === undefined || from >= to ? DEFAULT_RANGE : range;
}

export function resolveRange(range: TimeRange, nowMs: number): Instants {
  const startMs = instantOf(range.start, nowMs) ?? nowMs - 86400e3;
  return { startMs, endMs: instantOf(range.end, nowMs) ?? nowMs };
}

/** Whether the range goes on with the clock, so that refreshing shows something new. */
export function isMoving(range: TimeRange): boolean {
  return range.end === "now";
}

/** Two instants as a range that stays. */
export function absolute(startMs: number, endMs: number): TimeRange {
  const [first, last] = startMs <= endMs ? [startMs, endMs] : [endMs, startMs];
  return { start: new Date(first).toISOString(), end: new Date(Math.max(last, first + 1)).toISOString() };
}

/** A range as wide as this one, by a share of it earlier (-) or later (+). */
export function shifted(range: TimeRange, share: number, nowMs: number): TimeRange {
  const { startMs, endMs } = resolveRange(range, nowMs);
  const byMs = (endMs - startMs) * share;
  return absolute(startMs + byMs, endMs + byMs);
}

/** A range around the same middle, `factor` times as wide. */
export function zoomed(range: TimeRange, factor: number, nowMs: number): TimeRange {
  const { startMs, endMs } = resolveRange(range, nowMs);
  const middle = (startMs + endMs) / 2;
  const half = ((endMs - startMs) / 2) * factor;
  return absolute(middle - half, Math.min(middle + half, Math.max(nowMs, endMs)));
}

/** What the API takes as start and end: relative ends stay relative, so that caches and people understand them. */
export function rangeQuery(range: TimeRange): { start: string; end: string } {
  return { start: range.start, end: range.end === "now" ? "" : range.end };
}
