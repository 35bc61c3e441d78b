/** Rows that are all there already, for the Table: it draws the few that one sees, however many there are. */

import type { Paged } from "./pages.svelte";

export function listed<R>(rows: () => readonly R[], pending: () => boolean = () => false): Paged<R> {
  let version = 0;
  let last: readonly R[] | undefined;
  return {
    get length() {
      return rows().length;
    },
    more: false,
    get pending() {
      return pending();
    },
    error: undefined,
    get version() {
      const now = rows();
      if (now !== last) {
        last = now;
        version += 1;
      }
      return version;
    },
    at: (index) => rows()[index],
    want: () => undefined,
    again: () => undefined,
  };
}
