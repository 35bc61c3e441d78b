/**
 * Keys that do something, and the list of them that ? shows.
 *
 *     $effect(() => shortcuts.add({ keys: "e", label: strings.alerts.close, run: close }));
 *
 * `keys` is one key, or two after each other ("g a"). They rest while one types (a box that is ticked is not typed into) or a dialog is open.
 */

import { untrack } from "svelte";

export interface Shortcut {
  keys: string;
  label: string;
  run: () => void;
}

const SECOND_KEY_MS = 1000;

class Shortcuts {
  list: Shortcut[] = $state.raw([]);
  helpOpen = $state(false);
  #first = "";
  #firstMs = 0;

  add(...added: Shortcut[]): () => void {
    this.list = [...untrack(() => this.list), ...added]; // an effect that adds does not depend on what others added
    return () => {
      this.list = this.list.filter((one) => !added.includes(one));
    };
  }

  /** For the shell, on keydown. */
  take(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (target instanceof Element && target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], dialog, [role=menu]")) return;
    if (event.key === "?") {
      this.helpOpen = true;
      event.preventDefault();
      return;
    }
    const now = event.timeStamp;
    const pair = this.#first && now - this.#firstMs < SECOND_KEY_MS ? `${this.#first} ${event.key}` : "";
    // The newest wins: a page's key over the shell's.
    const found = this.list.findLast((one) => one.keys === pair) ?? this.list.findLast((one) => one.keys === event.key);
    this.#first = found ? "" : event.key;
    this.#firstMs = now;
    if (!found) return;
    event.preventDefault();
    found.run();
  }
}

export const shortcuts = new Shortcuts();
