/**
 * Where the person is: the path and the query of the address, without the base path of a proxy.
 *
 * Links are plain `<a href={href("/alerts")}>`: one listener takes those that stay in the console. The query holds the
 * state of the page (urlState.svelte.ts), so that an address shows another person the same.
 */

import { base } from "./base";

class Place {
  path = $state("/");
  query = $state.raw(new URLSearchParams());
  /** What follows the page's name: "ID" of /alerts/ID. */
  rest = $derived(decode(this.path.split("/").slice(2).join("/")));

  read(): void {
    const path = location.pathname;
    this.path = (path.startsWith(base) ? path.slice(base.length) : path) || "/";
    this.query = new URLSearchParams(location.search);
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const place = new Place();

/** The address of a page of the console, for `href`. */
export function href(path: string): string {
  return base + path;
}

/** Path and query as `go` takes them. */
export function here(): string {
  const query = place.query.toString();
  return place.path + (query ? `?${query}` : "");
}

/** Go to a page of the console. replace: the step back leads past where one is now. */
export function go(to: string, { replace = false } = {}): void {
  const target = new URL(base + to, location.origin);
  if (target.href === location.href) return;
  history[replace ? "replaceState" : "pushState"](null, "", target);
  const before = place.path;
  place.read();
  if (place.path !== before) scrollTo(0, 0);
}

/** Change the query of the page one is on. */
export function setQuery(query: URLSearchParams, { replace = true } = {}): void {
  const text = query.toString();
  go(place.path + (text ? `?${text}` : ""), { replace });
}

/** Begin to follow the address and the clicks on links. Returns how to end that. */
export function follow(): () => void {
  place.read();
  const onPop = () => place.read();
  const onClick = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    const path = link.pathname.slice(base.length);
    if (!link.pathname.startsWith(base) || path.startsWith("/api/")) return;
    if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
    event.preventDefault();
    go(path + link.search);
  };
  addEventListener("popstate", onPop);
  document.addEventListener("click", onClick);
  return () => {
    removeEventListener("popstate", onPop);
    document.removeEventListener("click", onClick);
  };
}
