/** The filters and words of a page, in its address (filter, q): one bar for every page that asks for events. */

import { type Filter, MOST_FILTERS, parseFilter, withValue, writeFilter } from "./filters";
import { place, setQuery } from "./router.svelte";

class FilterBar {
  /** As one text: what else changes in the address is no other filter, and asks nothing anew. */
  #written = $derived(JSON.stringify(place.query.getAll("filter")));
  filters: Filter[] = $derived(
    (JSON.parse(this.#written) as string[])
      .map(parseFilter)
      .filter((one) => one !== undefined)
      .slice(0, MOST_FILTERS),
  );
  words: string = $derived((place.query.get("q") ?? "").slice(0, 1000));
  /** What the API takes: { filter, q }. */
  query = $derived({ filter: this.filters.map(writeFilter), q: this.words });

  set(filters: readonly Filter[], words = this.words): void {
    const query = new URLSearchParams(place.query);
    query.delete("filter");
    for (const filter of filters) query.append("filter", writeFilter(filter));
    if (words) query.set("q", words);
    else query.delete("q");
    setQuery(query, { replace: false });
  }

  include(field: string, value: string): void {
    this.set(withValue(this.filters, field, value, "include"));
  }

  exclude(field: string, value: string): void {
    this.set(withValue(this.filters, field, value, "exclude"));
  }

  remove(filter: Filter): void {
    this.set(this.filters.filter((one) => writeFilter(one) !== writeFilter(filter)));
  }
}

export const filterBar = new FilterBar();
