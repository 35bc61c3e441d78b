/**
 * Text of events, made visible: what would hide, reorder or break lines shows as an escape such as \u202e.
 *
 * A list of parts, so that escapes can look different from the same characters typed by somebody.
 */

export interface Part {
  text: string;
  escaped: boolean;
}

// Controls (C0, DEL, C1), soft hyphen, zero-width and bidi marks, line separators, fillers, variation selectors used
// to hide, interlinear marks, byte order mark, tags, lone surrogates.
const UNSEEN =
  // eslint-disable-next-line no-control-regex, no-misleading-character-class -- these characters are what it is about
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{e0000}-\u{e0fff}\ud800-\udfff]/gu;
const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\u001b": "\\e" };

function escapeOf(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const short = SHORT[character];
  if (short) return short;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\u{${code.toString(16)}}`;
}

/** The parts of a text of which at most `most` characters are looked at: a line of a megabyte costs no more. */
export function visibleParts(text: string, most = 2000): Part[] {
  const parts: Part[] = [];
  const cut = text.length > most ? text.slice(0, most).replace(/[\ud800-\udbff]$/, "") : text;
  let at = 0;
  for (const match of cut.matchAll(UNSEEN)) {
    if (match.index > at) parts.push({ text: cut.slice(at, match.index), escaped: false });
    const last = parts.at(-1);
    if (last?.escaped) last.text += escapeOf(match[0]);
    else parts.push({ text: escapeOf(match[0]), escaped: true });
    at = match.index + match[0].length;
  }
  if (at < cut.length) parts.push({ text: cut.slice(at), escaped: false });
  return parts;
}

/** The same as one text, for titles, labels and charts. */
export function visible(text: string, most = 200): string {
  const shown = visibleParts(text, most)
    .map((part) => part.text)
    .join("");
  return text.length > most ? `${shown}…` : shown;
}

/** Any value of an event as text: objects as JSON. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
  return JSON.stringify(value) ?? "";
}
