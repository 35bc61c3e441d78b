/** The Overview's views: the standard one, one's own, those others share, and which of them opens by default. */

import { api, type Schemas } from "$lib/api/client";
import { text } from "$lib/codec";
import { load } from "$lib/load.svelte";
import { decodePanels, defaultPanels, encodePanels, type Panel, readPanels } from "$lib/panels";
import { session } from "$lib/session.svelte";
import { urlState } from "$lib/urlState.svelte";
import { strings } from "$strings";

export type View = Schemas["View"];

const PAGE = "overview";
/** A document of its own says which view opens first: it is a person's, and no property of a view that others share. */
const DEFAULT_PAGE = "overview.default";
export const STANDARD = "standard";

interface Loose {
  panels?: unknown;
  view_id?: unknown;
}

const looseOf = (view: View | undefined): Loose => (typeof view?.definition === "object" && view.definition !== null ? view.definition : {}) as Loose;

/** Made while the page is. */
export function overviewViews() {
  const url = urlState({ view: text("", 64), panels: text("", 12_000) });
  const answer = load((signal) => api.get("/api/v1/views", { signal }));
  const titles = { probes: strings.overview.probes, logins: strings.overview.logins };

  const all = $derived((answer.value ?? []).filter((view) => view.page === PAGE));
  const pointer = $derived((answer.value ?? []).find((view) => view.page === DEFAULT_PAGE && view.own));
  const first = $derived(String(looseOf(pointer).view_id ?? STANDARD));
  const wanted = $derived(url.values.view || first);
  const view = $derived(all.find((one) => one.view_id === wanted));
  const written = $derived(url.values.panels);
  const kept = $derived(view ? readPanels(looseOf(view).panels) : defaultPanels(titles));
  const panels = $derived(decodePanels(written) ?? kept);

  return {
    get answer() {
      return answer;
    },
    get all() {
      return all;
    },
    get view() {
      return view;
    },
    get panels() {
      return panels;
    },
    get changed() {
      return decodePanels(written) !== undefined;
    },
    get gone() {
      return answer.value !== undefined && url.values.view !== "" && url.values.view !== STANDARD && !view;
    },
    get isDefault() {
      return (view?.view_id ?? STANDARD) === (all.some((one) => one.view_id === first) ? first : STANDARD);
    },
    /** Panels that are not saved yet stand in the address. */
    change(changed: readonly Panel[]) {
      const text = encodePanels(changed);
      url.set({ panels: text === encodePanels(kept) ? "" : text });
    },
    discard() {
      url.set({ panels: "" });
    },
    open(id: string) {
      url.set({ view: id === first ? "" : id, panels: "" }, { push: true });
    },
    async save(as: { name: string; shared: boolean } | undefined) {
      const body = { name: as?.name ?? view?.name ?? "", page: PAGE, definition: { panels }, shared: as?.shared ?? view?.shared ?? false };
      const saved =
        !as && view?.own
          ? await api.put("/api/v1/views/{view_id}", { path: { view_id: view.view_id }, body })
          : await api.post("/api/v1/views", { body });
      answer.again();
      url.set({ view: saved.view_id, panels: "" });
      return saved.name;
    },
    async makeDefault() {
      const body = { name: DEFAULT_PAGE, page: DEFAULT_PAGE, definition: { view_id: view?.view_id ?? STANDARD }, shared: false };
      if (pointer) await api.put("/api/v1/views/{view_id}", { path: { view_id: pointer.view_id }, body });
      else await api.post("/api/v1/views", { body });
      answer.again();
    },
    async remove() {
      if (!view?.own) return;
      await api.delete("/api/v1/views/{view_id}", { path: { view_id: view.view_id } });
      answer.again();
      url.set({ view: "", panels: "" });
    },
    mayShare: session.may("views:share"),
  };
}
