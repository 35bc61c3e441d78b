/** A list of millions of rows of which any can be seen, against a table as the server would answer of it. */

import { describe, expect, test } from "vitest";
import { type Bounds, type Counts, type Page, Stretches } from "./stretches";

const DAY_S = 86_400;
const PAGE = 200;
const WIDTHS_S = [1, 10, 60, 300, 900, 1800, 3600];

/** Rows are the seconds at which they were; the server answers pages and counts of them. */
class Server {
  pages = 0;
  counted = 0;
  constructor(readonly seconds: Float64Array, readonly newestFirst: boolean) {}

  /** Indexes, oldest first, of what lies in a span. */
  span({ start, end }: Bounds): [number, number] {
    const from = (text: string | undefined, other: number) => (text === undefined ? other : this.#before(Date.parse(text) / 1000));
    return [from(start, 0), from(end, this.seconds.length)];
  }

  #before(second: number): number {
    let [low, high] = [0, this.seconds.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.seconds[middle] ?? 0) < second) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  page(bounds: Bounds, cursor: string): Page<number> {
    this.pages += 1;
    const [low, high] = this.span(bounds);
    const rows: number[] = [];
    let at = cursor ? Number(cursor) : this.newestFirst ? high - 1 : low;
    for (; rows.length < PAGE && at >= low && at < high; at += this.newestFirst ? -1 : 1) rows.push(at);
    return { rows, next: at >= low && at < high ? String(at) : "" };
  }

  counts(bounds: Bounds): Counts {
    this.counted += 1;
    const startS = bounds.start === undefined ? 0 : Date.parse(bounds.start) / 1000;
    const endS = bounds.end === undefined ? DAY_S : Date.parse(bounds.end) / 1000;
    const width = WIDTHS_S.find((one) => (endS - startS) / one <= 200) ?? 3600;
    const times: string[] = [];
    for (let second = Math.floor(startS / width) * width; second < endS; second += width) times.push(new Date(second * 1000).toISOString());
    const spans = times.map((time, index) => {
      const end = times[index + 1] ?? bounds.end;
      return this.span({ start: index ? time : (bounds.start ?? time), ...(end === undefined ? {} : { end }) });
    });
    return { times, counts: spans.map(([low, high]) => Math.max(0, high - low)) };
  }
}

/** See to it that rows are there, as `pages` does. */
function bring(list: Stretches<number>, server: Server, first: number, last: number): void {
  for (let turn = 0; turn < 10_000; turn += 1) {
    const next = list.wanted(first, last);
    if (!next) return;
    if (next.kind === "page") list.take(next, server.page(next.bounds, next.cursor));
    else list.cut(next, server.counts(next.bounds));
  }
  throw new Error("it never ends");
}

function table(rows: number, when: (share: number) => number): Float64Array {
  return Float64Array.from({ length: rows }, (_one, index) => Math.floor(when(index / rows) * DAY_S)).sort();
}

const TABLES: [string, Float64Array][] = [
  ["evenly", table(3_000_000, (share) => share)],
  ["in bursts", table(500_000, (share) => (share < 0.5 ? 0.2 + share / 1000 : 0.7 + share / 100))],
  ["all in the last hour", table(300_000, (share) => 0.96 + share / 25)],
  ["all in one second", table(20_000, () => 0.5)],
  ["few", table(700, (share) => share)],
];

describe.each([true, false])("newest first: %s", (newestFirst) => {
  test.each(TABLES)("any of the rows that came %s", (_name, seconds) => {
    const server = new Server(seconds, newestFirst);
    const list = new Stretches<number>(true, newestFirst);
    bring(list, server, 0, 40);
    expect([list.length, list.open]).toEqual([seconds.length, false]);
    for (const share of [0, 0.5, 0.1, 0.9, 0.999, 0.3, 0.30001, 0]) {
      const first = Math.min(seconds.length - 40, Math.floor(seconds.length * share));
      const asked = server.pages;
      bring(list, server, first, first + 39);
      for (let index = first; index < first + 40; index += 1) expect(list.at(index)).toBe(newestFirst ? seconds.length - 1 - index : index);
      if (seconds.length > 100_000) expect(server.pages - asked).toBeLessThan(35) // of a second are thousands;
    }
    bring(list, server, seconds.length - 40, seconds.length + 40);
    expect(list.at(seconds.length - 1)).toBe(newestFirst ? 0 : seconds.length - 1);
    expect([list.length, list.at(seconds.length)]).toEqual([seconds.length, undefined]);
  });
});

test("from row to row nothing is left out or told twice, and little is held", () => {
  const server = new Server(TABLES[1]?.[1] ?? new Float64Array(), true);
  const list = new Stretches<number>(true, true);
  bring(list, server, 0, 40);
  for (let first = 0; first < 30_000; first += 150) {
    bring(list, server, first, first + 160);
    expect(list.at(first)).toBe(499_999 - first);
    expect(list.at(first + 150)).toBe(499_999 - first - 150);
  }
  let held = 0;
  for (let index = 0; index < list.length; index += 1) held += list.at(index) === undefined ? 0 : 1;
  expect(held).toBeLessThanOrEqual(60 * PAGE);
});

test("what can't be counted goes on from page to page", () => {
  const server = new Server(TABLES[1]?.[1] ?? new Float64Array(), true);
  const list = new Stretches<number>(true, true);
  for (let next = list.wanted(0, 40); next; next = list.wanted(0, 40)) {
    if (next.kind === "page") list.take(next, server.page(next.bounds, next.cursor));
    else list.cut(next);
  }
  expect([list.length, list.open]).toEqual([200, true]);
  bring(list, server, 180, 220);
  expect([list.length, list.open, server.counted]).toEqual([400, true, 0]);
});
