/**
 * Rows that come page by page (`next` leads on), for the Table: it holds a window of them, however many there are.
 *
 *     const rows = pages((cursor, signal) => api.get("/api/v1/events/{table}", { …, query: { …, cursor }, signal }));
 *
 * Pages far behind are forgotten; their cursors stay, so that scrolling back asks for them again. Where somebody counts
 * rows over time (Counting), any of them can be gone to without those before.
 */

import { ApiError, isAbort } from "./api/problem";
import { type Bounds, type Counts, HELD_PAGES, type Page, Stretches, type Wanted } from "./stretches";

export interface Paged<R> {
  /** How many rows are known to exist; more may follow while `more`. */
  readonly length: number;
  readonly more: boolean;
  readonly pending: boolean;
  readonly error: unknown;
  /** Counts changes of what is held, so that what is drawn follows. */
  readonly version: number;
  /** A row, or undefined while it is not held; `want` brings it. */
  at(index: number): R | undefined;
  /** See to it that rows first to last are there, or come. */
  want(first: number, last: number): void;
  /** Ask anew, and show the answer when it reaches as far as one had read: who is far down stays there. */
  again(): void;
}

/** Asks for a page; what it reads is what the rows depend on. bounds: of time, within those of the question. */
type Ask<R> = (cursor: string, signal: AbortSignal, bounds: Bounds) => Promise<Page<R>>;

export interface Counting {
  /** How rows are sorted by time; undefined when they are sorted otherwise. */
  order(): "asc" | "desc" | undefined;
  count(bounds: Bounds, signal: AbortSignal): Promise<Counts>;
}

export function pages<R>(ask: Ask<R>, counting?: Counting): Paged<R> {
  let list = new Stretches<R>(false, true);
  let version = $state(0);
  let pending = $state(false);
  let error = $state.raw<unknown>();
  let tick = $state(0);
  let abort = new AbortController();
  let wanted: [number, number] = [0, 0];
  let reach = 0;
  let busy = false;
  let counts = false;

  async function pump(mine: AbortController): Promise<void> {
    if (busy) return;
    busy = true;
    pending = true;
    try {
      for (let next = list.wanted(...wanted); next; next = list.wanted(...wanted)) {
        if (next.kind === "counts") {
          void count(next, mine);
          break;
        }
        const answer = await ask(next.cursor, mine.signal, next.bounds);
        if (mine.signal.aborted) return;
        list.take(next, answer);
        error = undefined;
        version += 1;
      }
    } catch (thrown) {
      if (mine.signal.aborted || isAbort(thrown)) return;
      error = thrown;
    } finally {
      if (mine === abort) {
        busy = false;
        pending = false;
      }
    }
  }

  async function begin(fresh: Stretches<R>, first: Promise<Page<R>>, last: number, mine: AbortController): Promise<void> {
    try {
      fresh.take(fresh.wanted(0, 0) as Wanted<R> & { kind: "page" }, await first);
      for (let page = 1; page < HELD_PAGES && fresh.open && fresh.length <= last; page += 1) {
        const next = fresh.wanted(fresh.length, fresh.length);
        if (next?.kind !== "page") break;
        fresh.take(next, await ask(next.cursor, mine.signal, next.bounds));
      }
      if (mine.signal.aborted) return;
      list = fresh;
      error = undefined;
      version += 1;
    } catch (thrown) {
      if (mine.signal.aborted || isAbort(thrown)) return;
      error = thrown;
      if (thrown instanceof ApiError && thrown.status === 422) {
        list = new Stretches<R>(false, true); // this can't be asked: other rows would seem to be its answer
        version += 1;
      }
    }
    pending = false;
  }

  /** Beside the pages, which need not wait for it. What can't be counted is read on from page to page. */
  async function count(next: Wanted<R> & { kind: "counts" }, mine: AbortController): Promise<void> {
    if (counts || !counting) return;
    counts = true;
    const found = await counting.count(next.bounds, mine.signal).catch(() => undefined);
    if (mine.signal.aborted) return;
    counts = false;
    list.cut(next, found);
    version += 1;
    void pump(mine);
  }

  $effect(() => {
    void tick;
    abort = new AbortController();
    const mine = abort;
    busy = false;
    counts = false;
    wanted = [0, 0];
    const order = counting?.order();
    const fresh = new Stretches<R>(order !== undefined, order !== "asc");
    pending = true;
    // The first page is asked for here, so that what the question reads is what this effect depends on.
    void begin(fresh, ask("", mine.signal, {}), order ? 0 : reach, mine);
    reach = 0;
    return () => mine.abort();
  });

  return {
    get length() {
      void version;
      return list.length;
    },
    get more() {
      void version;
      return list.open;
    },
    get pending() {
      return pending;
    },
    get error() {
      return error;
    },
    get version() {
      return version;
    },
    at(index) {
      return list.at(index);
    },
    want(first, last) {
      wanted = [Math.max(0, first), Math.max(0, last)];
      const next = list.length ? list.wanted(...wanted) : undefined;
      if (next && !(counts && next.kind === "counts")) void pump(abort);
    },
    again() {
      reach = wanted[1];
      tick += 1;
    },
  };
}
