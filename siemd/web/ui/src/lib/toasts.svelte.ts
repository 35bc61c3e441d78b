/** Short notes in the corner: what was done, what failed. They can be undone where the caller says how. */

import { isAbort, messageOf } from "./api/problem";

export interface Toast {
  id: number;
  kind: "done" | "failed" | "note";
  text: string;
  action?: { label: string; run: () => void };
}

const MOST = 4;
const SHOWN_MS = 6000;

class Toasts {
  list: Toast[] = $state([]);
  #next = 1;

  #add(kind: Toast["kind"], text: string, action?: Toast["action"]): void {
    const toast: Toast = { id: this.#next++, kind, text, ...(action ? { action } : {}) };
    this.list = [...this.list, toast].slice(-MOST);
    if (kind !== "failed") setTimeout(() => this.close(toast.id), SHOWN_MS); // a failure stays until it is read
  }

  done(text: string, action?: Toast["action"]): void {
    this.#add("done", text, action);
  }

  note(text: string): void {
    this.#add("note", text);
  }

  /** What was thrown, unless it was only given up. */
  failed(error: unknown): void {
    if (!isAbort(error)) this.#add("failed", messageOf(error));
  }

  close(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
