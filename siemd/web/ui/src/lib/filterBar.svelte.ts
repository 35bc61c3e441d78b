/** The filters and words of a page, in its address (filter, q): one bar for every page that asks for events. */

import { type Filter, readFilters, type Unused, withValue, writeFilter } from "./filters";
import { place, setQuery } from "./router.svelte";

class FilterBar {
  /** As one text: what else changes in the address is no other filter, and asks nothing anew. */
  #written = $derived(JSON.stringify(place.query.getAll("filter")));
  #read = $derived(readFilters(JSON.parse(this.#written) as string[]));
  filters: Filter[] = $derived(this.#read.filters);
  /** What can't be used, and is not left out in silence either: the bar shows it. */
  unused: Unused[] = $derived(this.#read.unused);
  words: string = $derived((place.query.get("q") ?? "").slice(0, 1000));
  /** What the API takes: { filter, q }. It refuses what can't be used, so that no page shows rows as if they met it. */
  query = $derived({ filter: [...this.filters.map(writeFilter), ...this.unused.map((one) => one.written)], q: this.words });

  set(filters: readonly Filter[], words = this.words): void {
    this.#write([...filters.map(writeFilter), ...this.unused.map((one) => one.written)], words);
  }

  /** More filters, as they are written; what can't be used shows as such. */
  add(more: readonly string[], words: string): void {
    this.#write([...this.query.filter, ...more], words);
  }

  /** Take away what can't be used. */
  forget(): void {
    this.#write(this.filters.map(writeFilter), this.words);
  }

  clear(): void {
    this.#write([], "");
  }

  include(field: string, value: string): void {
    this.set(withValue(this.filters, field, value, "include"));
  }

  exclude(field: string, value: string): void {
    this.set(withValue(this.filters, field, value, "exclude"));
  }

  /** Take away a filter, as it is written; also one that can't be used. */
  remove(written: string): void {
    this.#write(this.query.filter.filter((one) => one !== written), this.words);
  }

  #write(all: readonly string[], words: string): void {
    const query = new URLSearchParams(place.query);
    query.delete("filter");
    for (const written of all) query.append("filter", written);
    if (words) query.set("q", words);
    else query.delete("q");
    setQuery(query, { replace: false });
  }
}

export const filterBar = new FilterBar();
