/** A list of any length behind a scroll bar of limited height. */

import { expect, test } from "vitest";
import { LongScroll } from "./longScroll";

const VIEW = 600;
const LONG = 32 * 10_000_000;

function list(longPx = LONG): LongScroll {
  const scroll = new LongScroll();
  scroll.measure(longPx, VIEW);
  return scroll;
}

test("what fits is scrolled as it is", () => {
  const scroll = list(32 * 1000);
  expect([scroll.heightPx, scroll.moved(12_345), scroll.topPx, scroll.shiftPx]).toEqual([32_000, 12_345, 12_345, 0]);
  expect([scroll.goTo(1e9), scroll.topPx]).toEqual([32_000 - VIEW, 32_000 - VIEW]);
});

test("the bar reaches both ends and all between", () => {
  const scroll = list();
  const most = scroll.heightPx - VIEW;
  expect(scroll.heightPx).toBe(8_000_000);
  expect([scroll.moved(most), scroll.topPx]).toEqual([most, LONG - VIEW]);
  expect([scroll.moved(0), scroll.topPx]).toEqual([0, 0]);
  scroll.moved(most / 2);
  expect(scroll.topPx).toBeCloseTo((LONG - VIEW) / 2, 0);
});

test("a wheel passes no row, from one end to the other", () => {
  const scroll = list(32 * 400_000);
  let bar = 0;
  for (let top = 0; top < 32 * 400_000 - VIEW; top += 500) {
    expect(scroll.topPx).toBeCloseTo(top, 3);
    bar = scroll.moved(Math.min(scroll.heightPx - VIEW, bar + 500));
  }
  expect([bar, scroll.topPx]).toEqual([scroll.heightPx - VIEW, 32 * 400_000 - VIEW]);
  while (scroll.topPx > 0) bar = scroll.moved(Math.max(0, bar - 500));
  expect(bar).toBe(0);
});

test("a step from wherever one jumped to is a step", () => {
  const scroll = list();
  const bar = scroll.moved(4_000_000);
  const before = scroll.topPx;
  scroll.moved(bar + 100);
  expect(scroll.topPx - before).toBeCloseTo(100, 3);
});

test("any row is gone to, and stays where it is when the bar says the same again", () => {
  const scroll = list();
  for (const top of [0, 99_999, 100_001, 5_000_000, LONG / 3, LONG - 150_000, LONG - VIEW]) {
    const bar = scroll.goTo(top);
    expect(scroll.topPx).toBeCloseTo(top, 3);
    scroll.moved(bar);
    expect(scroll.topPx).toBeCloseTo(top, 3);
    expect(scroll.shiftPx).toBeCloseTo(top - bar, 3);
  }
});

test("a list that grows or shrinks leaves one where one is, or at its end", () => {
  const scroll = list(6400);
  scroll.moved(3000);
  scroll.measure(LONG, VIEW);
  expect([scroll.moved(3000), scroll.topPx]).toEqual([3000, 3000]);
  scroll.goTo(LONG / 2);
  scroll.measure(6400, VIEW);
  expect([scroll.moved(5800), scroll.topPx]).toEqual([5800, 5800]);
});
