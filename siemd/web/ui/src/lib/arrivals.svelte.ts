/**
 * What came while somebody read a list that must not move, by the ids of rows: the API is then asked how many of them
 * the list would show (`id:in:…` beside its own filters), for a row alone does not tell what people made of it.
 */

import type { Row } from "./live.svelte";

/** The API's most in one filter. */
export const MOST_IDS = 100;

export class Arrivals {
  ids: ReadonlySet<number> = $state.raw(new Set());
  /** There is more than the ids tell of: too many came, or nobody listened for a while. */
  more = $state(false);

  add(rows: readonly Row[]): void {
    const ids = new Set([...this.ids, ...rows.flatMap(({ id }) => (typeof id === "number" ? [id] : []))]);
    if (ids.size > MOST_IDS) this.more = true;
    this.ids = new Set([...ids].slice(-MOST_IDS));
  }

  /** Some were not told. */
  missed(): void {
    this.more = true;
  }

  clear(): void {
    if (this.ids.size) this.ids = new Set();
    this.more = false;
  }

  get filter(): string {
    return `id:in:${[...this.ids].join(",")}`;
  }
}
