import { describe, expect, it } from "vitest";
import { bodyOf, emptyForm, formOfEntry, nameFor } from "./suppression";
import { changes, formOf, told, tuningOf, WrongForm, yamlParts } from "./tuning";

const RULE = "title: A\nlevel: low\ncorrelation:\n  type: value_count\n  timespan: 5m\n  condition: {field: destination_port, gte: 15}\n";
const BLOCK = "correlation:\n  timespan: 1h\n  condition:\n    gt: 2.5\n    field: x\n";

describe("tuning", () => {
  it("reads the numbers of a file in either layout", () => {
    expect(told(RULE)).toEqual({ operator: "gte", threshold: "15", timespan: "5m" });
    expect(told(BLOCK)).toEqual({ operator: "gt", threshold: "2.5", timespan: "1h" });
    expect(told("title: x\ndetection: {s: {count|gte: 3}}")).toEqual({});
  });

  it("keeps what the form does not show, and leaves out what is as in the file", () => {
    const before = { enabled: false, alert: true, condition: { gte: 20 }, note: "loud" };
    const form = formOf(before, RULE);
    expect(form.threshold).toBe("20");
    expect(tuningOf(form, before)).toEqual(before);
    expect(changes(tuningOf({ ...formOf(null, RULE), note: "n" }, null))).toBe(false);
  });

  it("refuses what is no number and no JSON", () => {
    const form = formOf(null, RULE);
    expect(() => tuningOf({ ...form, threshold: "many" }, null)).toThrow(WrongForm);
    for (const filter of ["{", "3", "null"]) expect(() => tuningOf({ ...form, filter }, null)).toThrow(WrongForm);
    expect(tuningOf({ ...form, group: " a, ,b ", filter: '{"a": 1}' }, null)).toMatchObject({ group: ["a", "b"], filter: { a: 1 } });
  });

  it("parts a line of YAML without losing a character", () => {
    for (const line of ["  - key: value", "# no key: here", "plain", "a: 'b: c'", "  http://x:80", ""]) {
      expect(yamlParts(line).map((part) => part.text).join("")).toBe(line);
    }
    expect(yamlParts("title: x")[1]).toEqual({ kind: "key", text: "title:" });
  });
});

describe("suppressions", () => {
  it("become what the API takes, and come back", () => {
    const form = { ...emptyForm("ann", 0), rules: "a, b", reason: "known", source: "10.0.0.0/8", group: "user=x\nport=22, 80" };
    const body = bodyOf(form);
    expect(body).toEqual({
      owner: "ann", reason: "known", expires: "1970-01-31", rules: ["a", "b"], source: "10.0.0.0/8", group: { user: "x", port: ["22", "80"] },
    });
    expect(formOfEntry("n", { name: "n", ...body })).toEqual({ ...form, name: "n" });
    expect(formOfEntry("n", { unheard: "mon" })).toBeUndefined();
    expect(formOfEntry("n", { rules: { tag: "x" } })).toBeUndefined();
  });

  it("say what is no field=value", () => {
    for (const group of ["user", "=x", "user="]) expect(() => bodyOf({ ...emptyForm("a"), group })).toThrow(RangeError);
    expect(nameFor("Port Scan! 10.0.0.1")).toBe("port-scan-10-0-0-1");
  });
});

it("reads the numbers of the rule that is meant, of several in a file", () => {
  const file = `${RULE.replace("title: A", "title: A\nid: one")}---\n${RULE.replace("title: A", "title: B\nid: two").replace("15", "30")}`;
  expect(told(file, "two")).toMatchObject({ threshold: "30" });
  expect(told(file, "one")).toMatchObject({ threshold: "15" });
  expect(told(file, "three")).toEqual({});
});

describe("a suppression's times", () => {
  it("come and go through the form", () => {
    const entry = { name: "n", owner: "o", reason: "r", expires: "2027-06-30T18:00:00+02:00", rules: ["a", "b"], days: ["sat"], from: "22:00", to: "06:00", timezone: "Europe/Berlin" };
    const form = formOfEntry("n", entry);
    expect(form && bodyOf(form)).toEqual({ owner: "o", reason: "r", expires: entry.expires, rules: ["a", "b"], days: "sat", from: "22:00", to: "06:00", timezone: "Europe/Berlin" });
    expect(formOfEntry("n", { ...entry, rules: { tag: "x" } })).toBeUndefined();
  });
});
