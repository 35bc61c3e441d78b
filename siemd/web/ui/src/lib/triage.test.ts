/** Working on many incidents at once: nobody is overwritten, what fails is told, and a closing can be undone. */

import { describe, expect, test } from "vitest";
import type { Schemas } from "./api/client";
import { ApiError } from "./api/problem";
import { tagsIn } from "./narrowing";
import { Desk, undoing, type Incident } from "./triage";

type Request = Schemas["TriageRequest"];
const seen = (count: number) => Array.from({ length: count }, (_, at) => ({ incident_id: `i${at}`, changed: null }));

/** What the API would do, for incidents that nobody but `others` has changed. */
function server(others: Record<string, string> = {}, asked: Request[] = []) {
  return (body: Request): Promise<Schemas["Changed"]> => {
    asked.push(body);
    const errors = Object.fromEntries(body.incident_ids.filter((id) => id in others).map((id) => [id, `changed by ${others[id]}`]));
    if (Object.keys(errors).length) return Promise.reject(new ApiError(409, "somebody", "changed-meanwhile", "", errors));
    const changes = body.incident_ids.map((incident_id) => ({ incident_id, changed: "2026-01-01T00:00:01.000000Z", fields: { state: ["new", "closed"] as [string, string] } }));
    return Promise.resolve({ changes, unchanged: [], missing: [] });
  };
}

describe("work on incidents", () => {
  test("what was seen is what is expected, and one's own change is seen", async () => {
    const asked: Request[] = [];
    const desk = new Desk(server({}, asked));
    const [one] = seen(1);
    await desk.change([one!], { action: "acknowledge" });
    await desk.change([one!], { action: "close", verdict: "true_positive" });
    expect(asked.map((body) => body.expected?.i0)).toEqual([null, "2026-01-01T00:00:01.000000Z"]);
    expect(desk.expected({ incident_id: "i0", changed: "2026-01-01T00:00:02.000000Z" })).toBe("2026-01-01T00:00:02.000000Z");
  });
  test("what others changed fails, and the rest is done", async () => {
    const asked: Request[] = [];
    const outcome = await new Desk(server({ i3: "anna", i700: "bob" }, asked)).change(seen(1200), { action: "acknowledge" });
    expect(outcome.changes).toHaveLength(1198);
    expect(outcome.failed.map(({ incident, why }) => [incident.incident_id, why])).toEqual([["i3", "changed by anna"], ["i700", "changed by bob"]]);
    expect(Math.max(...asked.map((body) => body.incident_ids.length))).toBe(500);
  });
  test("after an outage the rest is told as failed", async () => {
    let calls = 0;
    const answer = server();
    const desk = new Desk((body) => (++calls === 2 ? Promise.reject(new ApiError(503, "the store does not answer")) : answer(body)));
    const outcome = await desk.change(seen(1200), { action: "acknowledge" });
    expect([outcome.changes.length, outcome.failed.length, calls]).toEqual([500, 700, 2]);
    expect(new Set(outcome.failed.map(({ why }) => why))).toEqual(new Set(["the store does not answer"]));
  });
  test("undone, each is what it was", () => {
    const change = (incident_id: string, fields: Record<string, [string, string]>) => ({ incident_id, changed: "", fields });
    expect(
      undoing([
        change("a", { state: ["new", "closed"], verdict: ["", "true_positive"] }),
        change("b", { state: ["acknowledged", "closed"], verdict: ["", "true_positive"] }),
        change("c", { verdict: ["false_positive", "true_positive"] }),
        change("d", { state: ["new", "closed"], verdict: ["", "true_positive"] }),
      ]),
    ).toEqual([
      { ids: ["a", "d"], deed: { action: "reopen", state: "new" } },
      { ids: ["b"], deed: { action: "reopen", state: "acknowledged" } },
      { ids: ["c"], deed: { action: "close", verdict: "false_positive" } },
    ]);
  });
});

test("tags are offered by how many incidents have them", () => {
  const tagged = (...tags: unknown[]) => ({ tags }) as unknown as Incident;
  const offers = tagsIn([tagged("attack.t1046", 7), tagged("attack.t1110", "attack.t1046"), tagged("attack.discovery")], 2);
  expect(offers.map((one) => one.value)).toEqual(["attack.t1046", "attack.discovery"]);
});
