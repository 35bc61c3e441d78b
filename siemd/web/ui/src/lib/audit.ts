/** What a line of the audit log says beside who, what and when. */

/** Its detail on one line. */
export function detailOf(detail: Record<string, unknown>): string {
  return Object.entries(detail).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(" · ");
}
