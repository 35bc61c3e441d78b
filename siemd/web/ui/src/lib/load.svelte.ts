/**
 * Something that is asked of the API, shown, and asked again when what it depends on changes:
 *
 *     const hosts = load((signal) => api.get("/api/v1/hosts", { signal }));
 *     const top = load((signal) => api.get("…/top", { path, query: { ...timeRange.query, ...filterBar.query }, signal }));
 *
 * It must be made while a component is. The last answer stays while the next is awaited (`pending`), and when that fails;
 * what failed is asked again when siemd was away and is back.
 */

import { untrack } from "svelte";
import { isAbort } from "./api/problem";
import { live } from "./live.svelte";

export interface Loaded<T> {
  readonly value: T | undefined;
  readonly error: unknown;
  readonly pending: boolean;
  /** When the value came, in milliseconds. */
  readonly atMs: number;
  again(): void;
}

export function load<T>(ask: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  let value = $state.raw<T | undefined>();
  let error = $state.raw<unknown>();
  let pending = $state(true);
  let atMs = $state(0);
  let tick = $state(0);

  $effect(() => {
    void live.returns;
    untrack(() => {
      if (error !== undefined) tick += 1;
    });
  });

  $effect(() => {
    void tick;
    const abort = new AbortController();
    pending = true;
    ask(abort.signal).then(
      (answer) => {
        if (abort.signal.aborted) return;
        value = answer;
        error = undefined;
        atMs = Date.now();
        pending = false;
      },
      (thrown: unknown) => {
        if (abort.signal.aborted || isAbort(thrown)) return;
        error = thrown;
        pending = false;
      },
    );
    return () => abort.abort();
  });

  return {
    get value() {
      return value;
    },
    get error() {
      return error;
    },
    get pending() {
      return pending;
    },
    get atMs() {
      return atMs;
    },
    again() {
      tick += 1;
    },
  };
}
