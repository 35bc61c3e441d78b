/** What panels ask of the API: the page's range and filters with their own, a few requests at a time. */

import { api, type Schemas } from "./api/client";
import { filterBar } from "./filterBar.svelte";
import { parseFilter, writeFilter, type Filter } from "./filters";
import { gate } from "./gate";
import { live } from "./live.svelte";
import { EVENT_TABLES, filtersFor, type OneTable, type Panel } from "./panels";
import { timeRange } from "./range.svelte";

export interface Asked {
  start: string;
  end: string;
  filter: string[];
  q: string;
}

type Own = Pick<Panel, "filters" | "words">;
const NOTHING: Own = { filters: [], words: "" };

/** Start, end, filters and words for a table; reading it in `load` asks again when one of them changes. */
export function askedOf(table: OneTable, own: Own = NOTHING): Asked {
  if (table === "alerts") void pulse.alerts;
  const mine = own.filters.map(parseFilter).filter((one): one is Filter => one !== undefined);
  const filters = [...filtersFor(table, filterBar.filters), ...filtersFor(table, mine)];
  const q = [filterBar.words, own.words].filter(Boolean).join(" ").slice(0, 1000);
  const unused = filterBar.unused.map((one) => one.written); // refused in words, rather than counted without
  return { ...timeRange.query, filter: [...filters.map(writeFilter), ...unused], q };
}

/** Whether some of the page's filters say nothing to a table. */
export function leavesOut(table: OneTable): boolean {
  return filtersFor(table, filterBar.filters).length < filterBar.filters.length;
}

/** The tables behind a panel's: each of events for "all". */
export function tablesOf(table: Panel["table"]): readonly OneTable[] {
  return table === "all" ? EVENT_TABLES : [table];
}

export function timeline(
  signal: AbortSignal, table: OneTable, query: Asked, more: { by?: string; width?: number; buckets?: number; limit?: number } = {},
): Promise<Schemas["Timeline"]> {
  return gate.through(signal, () =>
    api.get("/api/v1/statistics/{table}/timeline", { path: { table }, query: { ...query, ...more }, signal }),
  );
}

export function top(signal: AbortSignal, table: OneTable, query: Asked, field: string, limit: number): Promise<Schemas["TopValues"]> {
  return gate.through(signal, () =>
    api.get("/api/v1/statistics/{table}/top", { path: { table }, query: { ...query, field, limit }, signal }),
  );
}

export async function total(signal: AbortSignal, table: OneTable, query: Asked): Promise<number> {
  const answer = await gate.through(signal, () => api.get("/api/v1/statistics/{table}/total", { path: { table }, query, signal }));
  return answer.total;
}

export function pairs(
  signal: AbortSignal, table: OneTable, query: Asked, limit: number, order: "count" | "bytes" = "count",
): Promise<Schemas["Pair"][]> {
  return gate.through(signal, () =>
    api.get("/api/v1/statistics/{table}/pairs", { path: { table }, query: { ...query, limit, order }, signal }),
  );
}

const LEAST_MS = 2000;

/** Beats when an incident was stored, at most every two seconds: what counts incidents asks again. */
class Pulse {
  alerts = $state(0);
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Listen while a page shows; the answer ends it, so that an $effect can return it. */
  follow(): () => void {
    let heard = false;
    const end = live.subscribe({ table: "alerts", fields: ["id"] }, {
      rows: () => this.#soon(),
      skipped: () => this.#soon(),
      begun: () => {
        if (heard) this.#soon(); // what was stored while siemd could not be reached
        heard = true;
      },
    });
    return () => {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      end();
    };
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.alerts += 1;
    }, this.#last + LEAST_MS > Date.now() ? LEAST_MS : 100);
    this.#last = Date.now();
  }

  #last = 0;
}

export const pulse = new Pulse();
