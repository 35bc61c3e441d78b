/** What happened around an incident: every table that knows its entities, nearest first, each row once. */

import { describe, expect, test } from "vitest";
import { entitiesOf, questionsOf, Side, type Happening } from "./around";
import type { Incident } from "./triage";
import { spanIn, valueAt } from "./usage";

const about = (group: Record<string, string>, host = "web-01") => ({ group_values: group, host }) as unknown as Incident;
const at = (ms: number, key = `logs ${ms}`): Happening => ({ table: "logs", key, ms, row: {} });

describe("whom it is about", () => {
  test("addresses, users and the host, each once", () => {
    expect(entitiesOf(about({ source_ip: "192.0.2.7", destination_ip: "192.0.2.7", TargetUserName: "root", User: "-" }))).toEqual([
      { kind: "address", value: "192.0.2.7" },
      { kind: "user", value: "root" },
      { kind: "host", value: "web-01" },
    ]);
  });
  test.each([
    ["address", ["logs.source_ip", "logs.destination_ip", "connections.destination_ip", "security_logs.source_ip", "alerts.group_values.source_ip"]],
    ["user", ["logs.user_name", "system_logs.user_name", "alerts.group_values.user_name"]],
    ["host", ["logs.host", "connections.host", "channel_logs.host", "channel_logs.computer", "alerts.host"]],
  ] as const)("every table that knows an entity is asked: %s", (kind, wanted) => {
    const asked = questionsOf([{ kind, value: "x" }]).map(({ table, filter }) => `${table}.${filter.field}`);
    expect(asked).toEqual(expect.arrayContaining([...wanted]));
    expect(new Set(asked).size).toBe(asked.length);
  });
});

describe("one side of the moment", () => {
  test("is nearest first, without doubles, and overtakes nothing", () => {
    const side = new Side(1, 2);
    expect(side.hungry(3)).toEqual([0, 1]);
    side.take(0, [at(10), at(20)], "more");
    side.take(1, [at(10), at(30), at(40)], "");
    expect(side.nearest(9).map((one) => one.ms)).toEqual([10, 20]);
    expect([side.hungry(2), side.hungry(3)]).toEqual([[], [0]]);
    side.take(0, [at(35)], "");
    expect(side.nearest(9).map((one) => one.ms)).toEqual([10, 20, 30, 35, 40]);
    expect([side.hungry(9), side.goesOn(4), side.goesOn(5)]).toEqual([[], true, false]);
  });
  test("goes backwards before it", () => {
    const side = new Side(-1, 2);
    side.take(0, [at(90), at(50)], "more");
    side.take(1, [at(80), at(70)], "");
    expect(side.nearest(3).map((one) => one.ms)).toEqual([90, 80, 70]);
    expect(side.hungry(5)).toEqual([0]);
  });
  test("many rows of one moment do not stop it", () => {
    const side = new Side(1, 1);
    side.take(0, [at(5, "a"), at(5, "b")], "more");
    expect(side.nearest(2)).toHaveLength(2);
    expect(side.goesOn(2)).toBe(true);
  });
});

describe("the host at that time", () => {
  const starts = [0, 10, 20, 30];
  test("a value is the one measured nearest, unless that is long before or after", () => {
    expect(valueAt(starts, [1, 2, 3, 4], 25, 10)).toBe(3);
    expect(valueAt(starts, [1, 2, null, null], 35, 10)).toBe(2);
    expect(valueAt(starts, [null, null, null, null], 35, 10)).toBeNull();
    expect(valueAt(starts, [1, 2, 3, 4], 400_000, 10)).toBeNull();
  });
  test("its time is a part of the line", () => {
    expect(spanIn(starts, 5, 35, 10)).toEqual({ from: 0, to: 1 });
    expect(spanIn(starts, 20, 20, 10)).toEqual({ from: 0.5, to: 0.5 });
    expect(spanIn([0], 0, 0, 10)).toBeUndefined();
  });
});
