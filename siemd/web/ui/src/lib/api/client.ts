/**
 * The typed client of the API: paths, parameters and answers are those of the server's OpenAPI document.
 *
 *     const page = await api.get("/api/v1/events/{table}", { path: { table: "logs" }, query: { start: "-1h" }, signal });
 *
 * Errors are ApiErrors. A 401 hands over to the login page, a step-up is asked for and the request then sent again.
 */

import { base } from "../base";
import { ApiError, errorOf } from "./problem";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Method = "get" | "post" | "put" | "patch" | "delete";

type PathsWith<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never;
}[keyof paths] &
  string;
type Operation<P extends keyof paths, M extends Method> = paths[P] extends Record<M, infer O> ? O : never;
type Json<T> = T extends { content: { "application/json": infer J } } ? J : undefined;
type Success<R> = R extends Record<200, infer A> ? Json<A> : R extends Record<201, infer A> ? Json<A>
  : R extends Record<202, infer A> ? Json<A> : undefined;

export type Answer<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: infer R } ? Success<R> : never;
type Parameters<O, K extends string> = O extends { parameters: Partial<Record<K, infer V>> } ? V : never;
type Body<O> = O extends { requestBody?: { content: { "application/json": infer J } } } ? J : never;

export type Options<P extends keyof paths, M extends Method> = {
  path?: NonNullable<Parameters<Operation<P, M>, "path">>;
  query?: NonNullable<Parameters<Operation<P, M>, "query">>;
  body?: Body<Operation<P, M>>;
  signal?: AbortSignal;
};

/** What the rest of the console does when the server wants somebody to log in, or a password again. */
export const hooks = {
  /** The session is over. */
  onLoggedOut: (): void => undefined,
  /** Ask for the password; true when it was given and the request may be sent again. */
  stepUp: async (): Promise<boolean> => false,
};

/** The address of something the API serves, for links such as an export. */
export function addressOf(path: string, query: Record<string, unknown> = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) parameters.append(name, String(one));
  }
  const text = parameters.toString();
  return `${base}${path}${text ? `?${text}` : ""}`;
}

export function fill(path: string, values: Record<string, unknown> = {}): string {
  return path.replaceAll(/\{([^}]+)\}/g, (_match, name: string) => {
    if (!(name in values)) throw new Error(`the path ${path} wants ${name}`);
    return encodeURIComponent(String(values[name]));
  });
}

async function send(method: Method, path: string, options: Options<never, never>): Promise<unknown> {
  const { path: names, query, body, signal } = options as Record<string, never>;
  const address = addressOf(fill(path, names), query);
  const hasBody = body !== undefined;
  let answer: Response;
  try {
    answer = await fetch(address, {
      method: method.toUpperCase(),
      headers: { Accept: "application/json", ...(hasBody ? { "Content-Type": "application/json" } : {}) },
      ...(hasBody ? { body: JSON.stringify(body) } : {}),
      ...(signal ? { signal } : {}),
      cache: "no-store",
    });
  } catch (error) {
    if (error instanceof DOMException) throw error;
    throw new ApiError(0, "siemd does not answer. Is it running, and is the network there?");
  }
  if (answer.status === 204) return undefined;
  const data: unknown = await answer.json().catch(() => undefined);
  // A wrong password is a 401 too; only who is nobody any more is asked to log in (RFC 9110, 15.5.2).
  if (answer.status === 401 && answer.headers.has("www-authenticate")) hooks.onLoggedOut();
  if (!answer.ok) throw errorOf(answer.status, answer.statusText, data);
  return data;
}

async function ask(method: Method, path: string, options: Options<never, never>): Promise<unknown> {
  try {
    return await send(method, path, options);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.kind !== "step-up-required") throw error;
    if (await hooks.stepUp()) return send(method, path, options);
    throw new ApiError(error.status, "Nothing was changed, for the password was not given.", error.kind);
  }
}

/** Without names that the API does not know: it would not look at them, and nobody would notice. */
type Known<Given, All> = Given & { [Name in Exclude<keyof Given, keyof All>]: never };
type QueryOf<O> = O extends { query?: infer Q } ? Exclude<Q, undefined> : never;
type Caller<M extends Method> = <P extends PathsWith<M>, Q extends QueryOf<Options<P, M>>>(
  path: P,
  options?: Omit<Options<P, M>, "query"> & { query?: Known<Q, QueryOf<Options<P, M>>> },
) => Promise<Answer<P, M>>;

function caller<M extends Method>(method: M): Caller<M> {
  return ((path: string, options = {}) => ask(method, path, options as Options<never, never>)) as Caller<M>;
}

export const api = {
  get: caller("get"),
  post: caller("post"),
  put: caller("put"),
  patch: caller("patch"),
  delete: caller("delete"),
};
