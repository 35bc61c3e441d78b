/**
 * Rows of a list of any length, of which one can see any: the list is counted and cut into stretches of time, and each
 * is read page by page from its beginning. Where one goes far into a stretch that is long, it is cut again. What is far
 * from where one is, is forgotten.
 */

export interface Page<R> {
  rows: R[];
  next?: string | null | undefined;
}

/** From when (included) until when (excluded); without: as far as the whole list. */
export interface Bounds {
  start?: string;
  end?: string;
}

/** How many rows there are in spans of time that follow on each other: times are their starts, the first is that of all. */
export interface Counts {
  times: readonly string[];
  counts: readonly number[];
}

export const HELD_PAGES = 30;

/** Pages that lead on one to the next: which are held, and what to ask next. */
export class PageWindow<R> {
  cursors: string[] = [""];
  starts: number[] = [0];
  held = new Map<number, R[]>();
  ended = false;

  get length(): number {
    return this.starts.at(-1) ?? 0;
  }

  pageOf(index: number): number {
    return placeOf(this.starts, index, this.starts.length - 1);
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


const FAR_ROWS = 2000; // so many rows may be read to come to one; for more a stretch is cut
const LEAST_ROWS = 1000; // of a stretch, but for the last

interface Stretch<R> {
  bounds: Bounds;
  window: PageWindow<R>;
  /** How many rows it has; undefined while nobody counted. */
  counted: number | undefined;
  /** It can't be cut: a list in another order than time, or a span that is as short as they are counted. */
  whole: boolean;
}

/** What is to be asked next. */
export type Wanted<R> =
  | { kind: "page"; stretch: Stretch<R>; page: number; cursor: string; bounds: Bounds }
  | { kind: "counts"; stretch: Stretch<R>; bounds: Bounds };

export class Stretches<R> {
  #stretches: Stretch<R>[];
  #starts: number[] = [0];
  #recent: PageWindow<R>[] = [];

  /** cut: there is somebody to count; newestFirst: the order of the rows. */
  constructor(cut: boolean, private readonly newestFirst: boolean) {
    this.#stretches = [{ bounds: {}, window: new PageWindow(), counted: undefined, whole: !cut }];
    this.#arrange();
  }

  get length(): number {
    return this.#starts.at(-1) ?? 0;
  }

  /** Whether there may be more rows than `length`. */
  get open(): boolean {
    return this.#stretches.some(({ counted, window }) => counted === undefined && !window.ended);
  }

  at(index: number): R | undefined {
    const at = this.#stretchOf(index);
    return this.#stretches[at]?.window.at(index - (this.#starts[at] ?? 0));
  }

  /** What is to be asked so that rows first to last are there; undefined when they are, or there are no more. */
  wanted(first: number, last: number): Wanted<R> | undefined {
    for (let at = this.#stretchOf(first); at <= this.#stretchOf(last); at += 1) {
      const stretch = this.#stretches[at];
      if (!stretch) break;
      const { bounds, window, counted } = stretch;
      const [from, to] = [first, last].map((index) => Math.max(0, index - (this.#starts[at] ?? 0))) as [number, number];
      const cuttable = !stretch.whole && !window.ended;
      if (cuttable && counted !== undefined && from > window.length + FAR_ROWS) return { kind: "counts", stretch, bounds };
      const page = window.missing(from, to);
      if (page !== undefined) return { kind: "page", stretch, page, cursor: window.cursors[page] ?? "", bounds };
      if (cuttable && counted === undefined && window.length) return { kind: "counts", stretch, bounds };
    }
    return undefined;
  }

  take({ stretch: { window }, page }: Wanted<R> & { kind: "page" }, answer: Page<R>): void {
    window.take(page, answer);
    this.#recent = [...this.#recent.filter((one) => one !== window), window];
    while (this.#recent.length > 1 && this.#recent.reduce((sum, one) => sum + one.held.size, 0) > HELD_PAGES) {
      this.#recent.shift()?.held.clear();
    }
    this.#arrange();
  }

  /** Cut a stretch as its rows were counted; without counts it stays whole. */
  cut({ stretch, bounds }: Wanted<R> & { kind: "counts" }, counts?: Counts): void {
    const at = this.#stretches.indexOf(stretch);
    const parts = counts ? this.#parts(stretch, counts) : [];
    const [first] = parts;
    if (first && parts.length === 1 && first.bounds.start === bounds.start && first.bounds.end === bounds.end) first.whole = true;
    if (!first) stretch.whole = true;
    else if (at >= 0) this.#stretches.splice(at, 1, ...parts);
    this.#arrange();
  }

  #parts({ bounds, window }: Stretch<R>, { times, counts }: Counts): Stretch<R>[] {
    const spans = counts.map((rows, index) => ({
      rows,
      start: index === 0 ? bounds.start : times[index],
      end: index === counts.length - 1 ? bounds.end : times[index + 1],
    }));
    if (this.newestFirst) spans.reverse();
    while (spans.at(-1)?.rows === 0) spans.pop();
    const parts: Stretch<R>[] = [];
    let least = Math.max(LEAST_ROWS, window.length + 1); // what was read already is at the beginning of the first
    let gathered: typeof spans = [];
    let rows = 0;
    for (const [index, span] of spans.entries()) {
      gathered = rows ? [...gathered, span] : [span];
      rows += span.rows;
      if (rows < least && index < spans.length - 1) continue;
      const [first, last] = this.newestFirst ? [span, gathered[0]] : [gathered[0], span];
      const between = { ...(first?.start ? { start: first.start } : {}), ...(last?.end ? { end: last.end } : {}) };
      parts.push({ bounds: between, window: parts.length ? new PageWindow() : window, counted: rows, whole: false });
      [rows, least] = [0, LEAST_ROWS];
    }
    return parts;
  }

  #stretchOf(index: number): number {
    return placeOf(this.#starts, index, this.#stretches.length - 1);
  }

  #arrange(): void {
    this.#starts = [0];
    for (const { window, counted } of this.#stretches) {
      // What was read says more than what was counted before it.
      const rows = window.ended || counted === undefined ? window.length : Math.max(counted, window.length + 1);
      this.#starts.push((this.#starts.at(-1) ?? 0) + rows);
    }
  }
}

/** The last of the places that begin at or before an index. */
function placeOf(starts: readonly number[], index: number, last: number): number {
  let [low, high] = [0, last];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}
