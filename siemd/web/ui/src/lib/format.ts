/** Numbers, sizes and times for people, in the viewer's zone and language of the page. */

const LOCALE = "en-GB";
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const compactOne = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat(LOCALE, { day: "2-digit", month: "short" });
const dayYear = new Intl.DateTimeFormat(LOCALE, { day: "2-digit", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const relatively = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function count(value: number): string {
  return whole.format(value);
}

export function compact(value: number): string {
  return Math.abs(value) < 10_000 ? whole.format(value) : compactOne.format(value);
}

export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  while (Math.abs(value) >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${value < 10 && at > 0 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

export function percent(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** An instant in the viewer's zone: "12 Nov 14:03:07", with the year when it is not this one. */
export function instant(ms: number, nowMs = Date.now()): string {
  const date = new Date(ms);
  const sameYear = date.getFullYear() === new Date(nowMs).getFullYear();
  return `${(sameYear ? day : dayYear).format(date)} ${clock.format(date)}`;
}

/** "2026-11-28 14:03:07.123 UTC": what everybody means by the same words. */
export function utc(ms: number): string {
  return `${new Date(ms).toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

/** "5 min. ago". */
export function since(ms: number, nowMs = Date.now(), style: "narrow" | "long" = "narrow"): string {
  const words = style === "narrow" ? ago : relatively;
  const seconds = Math.round((ms - nowMs) / 1000);
  const size = Math.abs(seconds);
  if (size < 60) return words.format(seconds, "second");
  if (size < 3600) return words.format(Math.round(seconds / 60), "minute");
  if (size < 86_400) return words.format(Math.round(seconds / 3600), "hour");
  return words.format(Math.round(seconds / 86_400), "day");
}

/** A counter's name for people: "frames_lost_bytes" becomes "frames lost", its unit is told by the value. */
export function humanCounter(name: string): string {
  return name.replace(/_(bytes|s|ms|percent)$/, "").replaceAll("_", " ").replaceAll(".", " · ");
}

/** A counter by the unit that ends its name. */
export function counterValue(name: string, value: number | string | boolean): string {
  if (typeof value !== "number") return String(value);
  if (name.endsWith("_bytes")) return bytes(value);
  if (name.endsWith("_percent")) return percent(value);
  if (name.endsWith("_ms")) return duration(value / 1000);
  if (name.endsWith("_s")) return duration(value);
  return Number.isInteger(value) ? count(value) : value.toFixed(2);
}
