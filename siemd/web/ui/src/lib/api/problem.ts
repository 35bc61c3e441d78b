/** Errors of the API (problems of RFC 9457), of the network and of bugs, as one kind with a sentence for people. */

import type { components } from "./schema";

export type Problem = components["schemas"]["Problem"];

const KINDS = "urn:siemd:problem:";

export class ApiError extends Error {
  /** status: of HTTP; 0 when there was no answer. kind: `step-up-required`, `code-required`, `store`, … or "". */
  constructor(
    readonly status: number,
    message: string,
    readonly kind = "",
    readonly requestId = "",
    readonly fields: Record<string, string> = {},
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** The error that an answer's body tells of. It may be anything: a proxy answers too. */
export function errorOf(status: number, statusText: string, body: unknown): ApiError {
  const problem = (typeof body === "object" && body !== null ? body : {}) as Partial<Problem>;
  const kind = typeof problem.type === "string" && problem.type.startsWith(KINDS) ? problem.type.slice(KINDS.length) : "";
  const fields: Record<string, string> = {};
  for (const error of problem.errors ?? []) if (error.key) fields[error.key] = error.message;
  const listed = (problem.errors ?? []).map((error) => (error.key ? `${error.key}: ${error.message}` : error.message));
  const words = [problem.detail || problem.title || statusText || `The server answered ${status}`, ...listed];
  return new ApiError(status, words.join("; "), kind, problem.request_id ?? "", fields);
}

/** What to show of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether it was only given up by ourselves: a page was left, a newer question put. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
