/**
 * The state of a page that its address holds, typed:
 *
 *     const state = urlState({ sort: oneOf(["time", "level"], "time"), words: text(), open: flag() });
 *     state.values.sort            // reactive
 *     state.set({ sort: "level" }) // replaces the address; { push: true } makes a step to go back to
 *
 * Parameters of others (the time range, filters) stay as they are.
 */

import type { Codec } from "./codec";
import { place, setQuery } from "./router.svelte";

type Values<C> = {
  [K in keyof C]: C[K] extends Codec<infer T> ? T : never;
};

export interface UrlState<V> {
  readonly values: V;
  set(changes: Partial<V>, options?: { push?: boolean }): void;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each codec has a type of its own, which Values keeps
export function urlState<C extends Record<string, Codec<any>>>(codecs: C): UrlState<Values<C>> {
  const values = {} as Values<C>;
  for (const [name, codec] of Object.entries(codecs)) {
    // Each by itself, and as text first: who reads one does not do so anew when another changes.
    const written = $derived(JSON.stringify(place.query.getAll(name)));
    const value: unknown = $derived(codec.read(JSON.parse(written) as string[]));
    Object.defineProperty(values, name, { enumerable: true, get: () => value });
  }
  return {
    values,
    set(changes, { push = false } = {}) {
      const query = new URLSearchParams(place.query);
      for (const [name, value] of Object.entries(changes)) {
        const codec = codecs[name];
        if (!codec) continue;
        query.delete(name);
        for (const written of codec.write(value)) query.append(name, written);
      }
      setQuery(query, { replace: !push });
    },
  };
}
