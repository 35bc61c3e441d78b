/** The one time range of a page, and how often it is asked again; both stand in the address (from, to, refresh). */

import { place, setQuery } from "./router.svelte";
import { DEFAULT_RANGE, isMoving, parseRange, rangeQuery, resolveRange, type TimeRange } from "./timeRange";

export const REFRESH = ["off", "live", "5s", "15s", "1m", "5m"] as const;
export type Refresh = (typeof REFRESH)[number];
const EVERY_MS: Partial<Record<Refresh, number>> = { live: 10_000, "5s": 5000, "15s": 15_000, "1m": 60_000, "5m": 300_000 };

class Range {
  #tick = $state(0);
  #asked = $state(0);
  /** When the moving end of the range was looked at last: what a page asks belongs to one moment. */
  #nowMs = $state(Date.now());

  // As texts first: what else changes in the address is no other range, and asks nothing anew.
  #from = $derived(place.query.get("from"));
  #to = $derived(place.query.get("to"));
  range: TimeRange = $derived(parseRange(this.#from, this.#to));
  refresh: Refresh = $derived(REFRESH.find((name) => name === place.query.get("refresh")) ?? "off");
  moving: boolean = $derived(isMoving(this.range));
  live: boolean = $derived(this.refresh === "live");
  instants = $derived(resolveRange(this.range, this.#nowMs));
  /** Set while somebody reads what must stand still: time alone asks nothing anew. */
  held = $state(false);
  /** start and end for the API; changes with the range and at each refresh, so that an effect that reads it asks anew. */
  query = $derived.by(() => {
    void this.#tick;
    return rangeQuery(this.range);
  });
  /** The same, but live refreshing leaves it alone: for rows that somebody reads, beside which what is new is counted. */
  still = $derived.by(() => {
    void this.#asked;
    return rangeQuery(this.range);
  });

  set(range: TimeRange): void {
    const query = new URLSearchParams(place.query);
    write(query, "from", range.start, DEFAULT_RANGE.start);
    write(query, "to", range.end, DEFAULT_RANGE.end);
    setQuery(query, { replace: false });
    this.again();
  }

  setRefresh(refresh: Refresh): void {
    const query = new URLSearchParams(place.query);
    write(query, "refresh", refresh, "off");
    setQuery(query);
  }

  /** Ask again, now. */
  again(): void {
    this.#asked += 1;
    this.#beat();
  }

  #beat(): void {
    this.#nowMs = Date.now();
    this.#tick += 1;
  }

  /** Ask again as often as the refresh control says, while the page can be seen. Called once, by the shell. */
  run(): void {
    $effect(() => {
      const every = EVERY_MS[this.refresh];
      if (!every) return;
      const timer = setInterval(() => {
        if (document.visibilityState !== "visible" || this.held) return;
        if (this.live) this.#beat();
        else this.again();
      }, every);
      return () => clearInterval(timer);
    });
  }
}

function write(query: URLSearchParams, name: string, value: string, fallback: string): void {
  if (value === fallback) query.delete(name);
  else query.set(name, value);
}

export const timeRange = new Range();

/** The part of an address that keeps range and refresh when one goes to another page. */
export function carried(): string {
  const query = new URLSearchParams();
  for (const name of ["from", "to", "refresh"]) {
    const value = place.query.get(name);
    if (value !== null) query.set(name, value);
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}
