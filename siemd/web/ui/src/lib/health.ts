/** The status of siemd as the page shows it, out of an answer whose shape the server does not promise in full. */

import type { Schemas } from "./api/client";
import { type Status, statusOf } from "./levels";

export interface Part {
  name: string;
  status: Status;
  detail: string;
  received: number;
  sent: number;
  dropped: number;
  errors: number;
  lagS: number;
  sinceMs: number;
  extra: [string, number | string | boolean][];
}

export interface Queue {
  name: string;
  events: number;
  capacity: number;
  received: number;
  refused: number;
}

export interface Detail {
  running: boolean;
  /** No siemd ever ran there. */
  never: boolean;
  /** Whether there are counters: the role may see them. */
  detailed: boolean;
  startedMs: number;
  writtenMs: number;
  parts: Part[];
  queues: Queue[];
}

type Loose = Record<string, unknown>;

const number = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);
const list = (value: unknown): Loose[] =>
  Array.isArray(value) ? value.filter((one): one is Loose => typeof one === "object" && one !== null) : [];

function part(from: Loose): Part {
  const extra = typeof from["extra"] === "object" && from["extra"] !== null ? from["extra"] : {};
  return {
    name: String(from["name"] ?? ""),
    status: statusOf(from["status"]),
    detail: String(from["detail"] ?? ""),
    received: number(from["received"]),
    sent: number(from["sent"]),
    dropped: number(from["dropped"]),
    errors: number(from["errors"]),
    lagS: number(from["lag_s"]),
    sinceMs: number(from["since_us"]) / 1000,
    extra: Object.entries(extra as Loose).filter(
      (entry): entry is [string, number | string | boolean] => ["number", "string", "boolean"].includes(typeof entry[1]),
    ),
  };
}

export function detailOf(answer: unknown): Detail {
  const from = (typeof answer === "object" && answer !== null ? answer : {}) as Loose;
  return {
    running: from["running"] === true,
    never: Object.keys(from).length === 0,
    detailed: true,
    startedMs: number(from["started_us"]) / 1000,
    writtenMs: number(from["written_us"]) / 1000,
    parts: list(from["components"]).map(part),
    queues: list(from["channels"]).map((queue) => ({
      name: String(queue["name"] ?? ""),
      events: number(queue["events"]),
      capacity: number(queue["capacity_events"]),
      received: number(queue["received_events"]),
      refused: number(queue["refused_events"]),
    })),
  };
}

/** What a role without counters may see. */
export function fromBrief(answer: Schemas["HealthState"]): Detail {
  const parts = list(answer.components).map(part);
  const never = !answer.running && !parts.length;
  return { running: answer.running, never, detailed: false, startedMs: 0, writtenMs: 0, parts, queues: [] };
}
