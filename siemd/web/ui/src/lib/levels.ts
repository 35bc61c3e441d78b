/** Severity (Sigma's levels) and the states of components, in the order of how much they want to be looked at. */

export const LEVELS = ["informational", "low", "medium", "high", "critical"] as const;
export type Level = (typeof LEVELS)[number];

export function levelOf(value: unknown): Level {
  return LEVELS.find((level) => level === value) ?? "informational";
}

export const STATUSES = ["failed", "degraded", "starting", "ok", "stopped"] as const;
export type Status = (typeof STATUSES)[number];

export function statusOf(value: unknown): Status {
  return STATUSES.find((status) => status === value) ?? "stopped";
}

/** The custom property with the colour of a level or a status. */
export function colourOf(name: Level | Status): string {
  return `var(--c-${name})`;
}
