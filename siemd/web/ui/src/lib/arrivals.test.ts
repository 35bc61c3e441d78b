/** What came while somebody read. */

import { expect, test } from "vitest";
import { Arrivals, MOST_IDS } from "./arrivals.svelte";

test("a row that grows again is one, and no filter gets longer than the API takes", () => {
  const arrivals = new Arrivals();
  arrivals.add([{ id: 7 }, { id: 8 }, { id: 7 }, { id: "odd" }]);
  expect([arrivals.filter, arrivals.more]).toEqual(["id:in:7,8", false]);
  arrivals.add(Array.from({ length: MOST_IDS }, (_, at) => ({ id: 100 + at })));
  expect([arrivals.ids.size, arrivals.more, arrivals.ids.has(7)]).toEqual([MOST_IDS, true, false]);
  arrivals.clear();
  expect([arrivals.ids.size, arrivals.more]).toEqual([0, false]);
  arrivals.missed();
  expect(arrivals.more).toBe(true);
});
