/**
 * Rows that come page by page (`next` leads on), for the Table: it holds a window of them, however many there are.
 *
 *     const rows = pages((cursor, signal) => api.get("/api/v1/events/{table}", { …, query: { …, cursor }, signal }));
 *
 * Pages far behind are forgotten; their cursors stay, so that scrolling back asks for them again.
 */

import { isAbort } from "./api/problem";

export interface Page<R> {
  rows: R[];
  next?: string | null | undefined;
}

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

const HELD_PAGES = 30;

/** The bookkeeping, free of Svelte so that it can be tested: which pages are held, and what to ask next. */
export class PageWindow<R> {
  cursors: string[] = [""];
  starts: number[] = [0];
  held = new Map<number, R[]>();
  ended = false;

  get length(): number {
    return this.starts.at(-1) ?? 0;
  }

  pageOf(index: number): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.starts[middle] ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  at(index: number): R | undefined {
    const page = this.pageOf(index);
    return this.held.get(page)?.[index - (this.starts[page] ?? 0)];
  }

  /** The first page among these rows that is not held; undefined when all are there, or there is no more. */
  missing(first: number, last: number): number | undefined {
    for (let page = this.pageOf(first); page <= this.pageOf(last); page += 1) {
      const known = page < this.cursors.length - (this.ended ? 1 : 0);
      if (known && !this.held.has(page)) return page;
    }
    return undefined;
  }

  take(page: number, answer: Page<R>): void {
    this.held.delete(page);
    this.held.set(page, answer.rows);
    if (page === this.starts.length - 1) {
      if (answer.next) this.cursors.push(answer.next);
      else {
        this.ended = true;
        this.cursors.push("");
      }
      this.starts.push((this.starts[page] ?? 0) + answer.rows.length);
    }
    for (const old of this.held.keys()) {
      if (this.held.size <= HELD_PAGES) break;
      if (old !== page) this.held.delete(old); // the one that was asked for longest ago
    }
  }
}

export function pages<R>(ask: (cursor: string, signal: AbortSignal) => Promise<Page<R>>): Paged<R> {
  let window = new PageWindow<R>();
  let version = $state(0);
  let pending = $state(false);
  let error = $state.raw<unknown>();
  let tick = $state(0);
  let abort = new AbortController();
  let wanted: [number, number] = [0, 0];
  let reach = 0;
  let busy = false;

  async function pump(ask1: typeof ask, mine: AbortController): Promise<void> {
    if (busy) return;
    busy = true;
    pending = true;
    try {
      for (let page = window.missing(...wanted); page !== undefined; page = window.missing(...wanted)) {
        const answer = await ask1(window.cursors[page] ?? "", mine.signal);
        if (mine.signal.aborted) return;
        window.take(page, answer);
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

  async function begin(first: Promise<Page<R>>, last: number, mine: AbortController): Promise<void> {
    const fresh = new PageWindow<R>();
    try {
      fresh.take(0, await first);
      for (let page = 1; page < HELD_PAGES && !fresh.ended && fresh.length <= last; page += 1) {
        fresh.take(page, await ask(fresh.cursors[page] ?? "", mine.signal));
      }
      if (mine.signal.aborted) return;
      window = fresh;
      error = undefined;
      version += 1;
    } catch (thrown) {
      if (mine.signal.aborted || isAbort(thrown)) return;
      error = thrown;
    }
    pending = false;
  }

  $effect(() => {
    void tick;
    abort = new AbortController();
    const mine = abort;
    busy = false;
    wanted = [0, 0];
    pending = true;
    // The first page is asked for here, so that what the question reads is what this effect depends on.
    void begin(ask("", mine.signal), reach, mine);
    reach = 0;
    return () => mine.abort();
  });

  return {
    get length() {
      void version;
      return window.length;
    },
    get more() {
      void version;
      return !window.ended;
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
      return window.at(index);
    },
    want(first, last) {
      wanted = [Math.max(0, first), Math.max(0, last)];
      if (window.held.size && window.missing(...wanted) !== undefined) void pump(ask, abort);
    },
    again() {
      reach = wanted[1];
      tick += 1;
    },
  };
}
