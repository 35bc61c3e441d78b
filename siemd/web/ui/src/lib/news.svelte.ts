/**
 * What was stored since a list was asked for: counted beside the rows, which stand still until somebody wants to see it.
 *
 *     const fresh = news(() => (timeRange.live ? { table, filters, words, fields: ["id"] } : undefined), rows);
 *
 * It must be made while a component is, and begins anew whenever what the question reads changes.
 */

import { live, type Question } from "./live.svelte";

export interface News {
  readonly count: number;
  /** The connection was lost for a while: there may be more than was counted. */
  readonly missed: boolean;
  /** Why nothing is heard of; empty while it is. */
  readonly trouble: string;
}

export function news(question: () => Question | undefined, rows: { readonly pending: boolean; again(): void }): News {
  let count = $state(0);
  let missed = $state(false);
  let trouble = $state("");

  $effect(() => {
    const asked = question();
    count = 0;
    missed = false;
    trouble = "";
    if (!asked) return;
    let heard = false;
    return live.subscribe(asked, {
      rows: (told) => (count += told.length),
      skipped: (events) => (count += events),
      error: (words) => (trouble = words),
      begun: () => {
        trouble = "";
        if (heard) missed = true;
        else if (!rows.pending) rows.again(); // they came before this was heard of: something may lie between
        heard = true;
      },
    });
  });

  return {
    get count() {
      return count;
    },
    get missed() {
      return missed;
    },
    get trouble() {
      return trouble;
    },
  };
}
