/**
 * What is being stored, as it is stored: one WebSocket for the whole page, opened while somebody is subscribed.
 *
 *     $effect(() => live.subscribe({ table: "alerts" }, { rows: (rows) => …, skipped: (events) => … }));
 *
 * It comes back by itself, later after each failure; `live.state` says how it is. A page that keeps rows keeps them in a
 * Bounded: nothing here grows.
 */

import { api, hooks } from "./api/client";
import { base } from "./base";
import { type Filter, structured } from "./filters";

export type LiveState = "idle" | "connecting" | "open" | "waiting" | "refused";
export type Row = Record<string, unknown>;

export interface Question {
  table: string;
  filters?: readonly Filter[];
  words?: string;
  fields?: readonly string[];
}

export interface Listener {
  rows(rows: Row[]): void;
  /** Events that were not told: search finds them. */
  skipped?(events: number, why: string): void;
  /** Nothing is heard of, and why; it is asked for again, and `begun` says when that helped. */
  error?(words: string): void;
  /** From now on it hears, also after a pause: what was asked before this may lack what was stored meanwhile. */
  begun?(): void;
}

interface Message {
  type: string;
  id?: string;
  rows?: Row[];
  events?: number;
  detail?: string;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const SILENCE_MS = 40_000; // the server says something every 15 s
const LOGGED_OUT = 4401;
const TOO_MANY = 4429;
const ASK_AGAIN_MS = 10_000; // after an error: the store may answer again

class Live {
  state: LiveState = $state("idle");
  /** The store is away: what is stored meanwhile will follow. */
  storeAway = $state("");
  skipped = $state(0);
  /** siemd does not answer, and did not when it was tried again. */
  away = $state(false);
  /** How often it came back: what failed meanwhile is asked again. */
  returns = $state(0);

  #socket: WebSocket | undefined;
  #wanted = new Map<string, { question: Question; listener: Listener }>();
  #next = 1;
  #waitMs = FIRST_WAIT_MS;
  #lostOnce = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  /** Hear of new rows from now on; the answer ends it, so that an $effect can return it. */
  subscribe(question: Question, listener: Listener): () => void {
    const id = String(this.#next++);
    this.#wanted.set(id, { question, listener });
    if (this.#socket?.readyState === WebSocket.OPEN) this.#ask(id, question);
    else if (!this.#socket && !this.#retry) this.#open();
    return () => {
      this.#wanted.delete(id);
      if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type: "unsubscribe", id }));
      if (!this.#wanted.size) setTimeout(() => this.#closeIfIdle(), 1000); // a page that changes asks again at once
    };
  }

  #closeIfIdle(): void {
    if (this.#wanted.size) return;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#socket?.close();
    this.#waitMs = FIRST_WAIT_MS;
    this.state = "idle";
    this.away = false;
  }

  #open(): void {
    this.#retry = undefined;
    if (this.state === "idle") this.state = "connecting"; // one that was lost stays so until it is back
    const address = new URL(`${base}/api/v1/live`, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address, "siemd.v1");
    this.#socket = socket;
    this.#listen(socket);
    socket.onopen = () => {
      if (this.#lostOnce) this.returns += 1;
      this.#lostOnce = this.away = false;
      if (!this.#wanted.size) this.state = "open"; // else once it hears: what is stored before that would not be told
      this.#waitMs = FIRST_WAIT_MS;
      for (const [id, { question }] of this.#wanted) this.#ask(id, question);
    };
    socket.onmessage = (event) => {
      this.#listen(socket);
      this.#take(event.data);
    };
    socket.onclose = (event) => {
      clearTimeout(this.#silence);
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#lost(event.code);
    };
  }

  #lost(code: number): void {
    if (code === LOGGED_OUT) hooks.onLoggedOut();
    if (!this.#wanted.size || code === LOGGED_OUT) {
      this.state = "idle";
      this.away = false;
      return;
    }
    if (this.#lostOnce && code !== TOO_MANY) void this.#look();
    this.#lostOnce = true;
    this.state = code === TOO_MANY ? "refused" : "waiting";
    const waitMs = code === TOO_MANY ? LONGEST_WAIT_MS : this.#waitMs * (0.75 + Math.random() / 2);
    this.#retry = setTimeout(() => this.#open(), waitMs);
    this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2);
  }

  /** Whether it is siemd that is away or this connection alone, which some proxies refuse; a session may have ended too. */
  async #look(): Promise<void> {
    try {
      await api.get("/api/v1/session");
      this.away = false;
    } catch {
      this.away = this.#lostOnce && this.#wanted.size > 0;
    }
  }

  /** A connection on which nothing comes is gone, whatever the system says. */
  #listen(socket: WebSocket): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => socket.close(), SILENCE_MS);
  }

  #ask(id: string, { table, filters = [], words = "", fields = [] }: Question): void {
    this.#socket?.send(JSON.stringify({ type: "subscribe", id, table, filters: filters.map(structured), words, fields }));
  }

  #askLater(id: string): void {
    const socket = this.#socket;
    setTimeout(() => {
      const wanted = this.#wanted.get(id);
      if (wanted && socket?.readyState === WebSocket.OPEN && socket === this.#socket) this.#ask(id, wanted.question);
    }, ASK_AGAIN_MS);
  }

  #take(data: unknown): void {
    let message: Message;
    try {
      message = JSON.parse(String(data)) as Message;
    } catch {
      return;
    }
    const listener = this.#wanted.get(message.id ?? "")?.listener;
    switch (message.type) {
      case "rows":
        listener?.rows(message.rows ?? []);
        break;
      case "subscribed":
        this.state = "open";
        listener?.begun?.();
        break;
      case "skipped":
        this.skipped += message.events ?? 0;
        listener?.skipped?.(message.events ?? 0, message.detail ?? "");
        break;
      case "error":
        this.state = "open";
        listener?.error?.(message.detail ?? "");
        this.#askLater(message.id ?? "");
        break;
      case "store":
        this.storeAway = message.detail?.includes("again") ? "" : (message.detail ?? "");
        break;
    }
  }
}

export const live = new Live();
