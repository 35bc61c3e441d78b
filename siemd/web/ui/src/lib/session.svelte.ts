/** Who is at the console, and what they may do; logging in, out, and back to where one was when a session ends. */

import { api, hooks, type Schemas } from "./api/client";
import { ApiError } from "./api/problem";
import { go, here, place } from "./router.svelte";

export type Me = Schemas["Me"];
export type Right = Schemas["Right"];

class Session {
  me: Me | undefined = $state.raw();
  /** starting: nobody knows yet. failed: the server did not say. */
  state: "starting" | "in" | "out" | "failed" = $state("starting");
  error: unknown = $state.raw();
  /** Why one is to log in again, for the login page. */
  ended = $state(false);

  async load(): Promise<void> {
    try {
      this.#enter(await api.get("/api/v1/session"));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        this.state = "out";
        return;
      }
      this.error = error;
      this.state = "failed";
    }
  }

  /** Throws an ApiError of kind `code-required` when the second factor is wanted too. */
  async logIn(name: string, password: string, code: string): Promise<void> {
    this.#enter(await api.post("/api/v1/session", { body: { name, password, code } }));
  }

  async logOut(): Promise<void> {
    try {
      await api.delete("/api/v1/session");
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 401)) throw error;
    }
    this.me = undefined;
    this.state = "out";
    this.ended = false;
    go("/login");
  }

  may(right: Right | undefined): boolean {
    return right === undefined || (this.me?.rights.includes(right) ?? false);
  }

  #enter(me: Me): void {
    this.me = me;
    this.state = "in";
    this.ended = false;
  }

  /** The server does not know the session any more. The address is kept, so that the login leads back to it. */
  lost(): void {
    this.ended ||= this.state === "in";
    this.me = undefined;
    if (this.state !== "starting") this.state = "out";
  }
}

export const session = new Session();

hooks.onLoggedOut = () => session.lost();

/** The address of the login page that leads back to here. */
export function loginPath(): string {
  const back = here();
  return back === "/" || place.path === "/login" ? "/login" : `/login?return=${encodeURIComponent(back)}`;
}

/** Where a login leads: only ever to a page of the console. */
export function returnPath(): string {
  const back = place.query.get("return") ?? "/";
  return /^\/(?![/\\])/.test(back) && !back.startsWith("/login") ? back : "/";
}
