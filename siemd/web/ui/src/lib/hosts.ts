/** How a host fares, by when it was heard of. */

import type { Status } from "./levels";

const FRESH_MS = 5 * 60_000;
const QUIET_MS = 60 * 60_000;

/** ok: heard of in the last minutes. degraded: in the last hour. failed: longer ago. */
export function hostStatus(lastSeen: string, nowMs: number): Status {
  const age = nowMs - Date.parse(lastSeen);
  if (age <= FRESH_MS) return "ok";
  return age <= QUIET_MS ? "degraded" : "failed";
}
