/** The logic of the Overview, Network and Hosts: panels out of anything, sums, the gate, what is known of addresses. */

import { describe, expect, test } from "vitest";
import type { Schemas } from "./api/client";
import { byCountry, countryName } from "./addresses";
import { byHour, growth, joined, periodBefore, summed, together } from "./counts";
import { Gate } from "./gate";
import { hostStatus } from "./hosts";
import {
  decodePanels, defaultPanels, encodePanels, filtersFor, fitting, freeId, KINDS, moved, MOST_PANELS, type Panel, readPanels, resized, TABLES,
} from "./panels";
import { unitOf, usageSeries } from "./usage";

const TITLES = { probes: "Who probed whom", logins: "Users" };
const panel = (more: Partial<Panel> = {}): Panel => ({
  id: "1", kind: "bar", table: "logs", by: "event_type", title: "", filters: [], words: "", w: 6, h: 4, ...more,
});

describe("panels", () => {
  test("an address holds them, whatever they are called", () => {
    const panels = [...defaultPanels(TITLES), panel({ id: "99", title: "<b>\u202e ü 漢 ~ . %", filters: ["source_ip:cidr:10.0.0.0/8"], words: "a +b" })];
    const written = encodePanels(panels);
    expect(written).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(written.length).toBeLessThan(2000);
    expect(decodePanels(written)).toEqual(panels);
    expect(decodePanels(encodePanels([]))).toEqual([]);
  });
  test("anybody may have written the address", () => {
    for (const nonsense of ["", "%", "AAAA", btoa("{}"), btoa("null"), "🙂", btoa("[[[[")]) expect(decodePanels(nonsense)).toBeUndefined();
    expect(decodePanels(btoa(JSON.stringify([1, null, "x", [], [1, "script", 99, 99], { kind: "bar" }])))).toEqual([]);
  });
  test("a view may hold anything", () => {
    const found = readPanels([
      { kind: "list", table: "users; DROP", by: 7, w: "12", h: -1, filters: ["nonsense", "source_ip:eq:1.2.3.4", 4] },
      { kind: "donut", table: "all", by: "fields.a b", id: "x" }, { kind: "usage", by: "nothing", w: Number.NaN, h: 1e9, id: "7" }, { kind: "<b>" }, undefined, [],
      { kind: "bar", table: "all", by: "level", id: "7" },
    ]);
    expect(found.map((one) => [one.kind, one.table, one.by, one.w, one.h])).toEqual([
      ["list", "logs", "event_type", 12, 3], ["donut", "alerts", "level", 3, 3], ["usage", "logs", "cpu_percent", 3, 12], ["bar", "all", "", 3, 3],
    ]);
    expect(found[0]?.filters).toEqual(["source_ip:eq:1.2.3.4"]);
    expect(new Set(found.map((one) => one.id)).size).toBe(found.length);
    expect(readPanels(Array.from({ length: 500 }, () => ({ kind: "bar" }))).length).toBe(MOST_PANELS);
    expect(readPanels("x")).toEqual([]);
  });
  test("what fits stays as it is, for every kind and table", () => {
    for (const kind of KINDS) for (const table of TABLES) {
      const once = fitting(panel({ kind, table, by: "source_ip" }));
      expect(fitting(once)).toEqual(once);
    }
    expect(fitting(panel({ kind: "list", by: "fields.outcome" })).by).toBe("fields.outcome");
    expect(fitting(panel({ kind: "list", by: 'fields.a"b' })).by).toBe("event_type");
  });
  test("moved, resized, named", () => {
    expect(moved(["a", "b", "c"], 0, 2)).toEqual(["b", "c", "a"]);
    expect(moved(["a", "b", "c"], 2, -5)).toEqual(["c", "a", "b"]);
    expect(moved(["a", "b"], 7, 0)).toEqual(["a", "b"]);
    expect(resized(panel({ w: 12 }), 3, -9)).toMatchObject({ w: 12, h: 3 });
    expect(freeId([panel({ id: "4" }), panel({ id: "x" })])).toBe("5");
  });
  test("filters go where their field is", () => {
    const filters = [{ field: "source_ip" }, { field: "level" }, { field: "fields.outcome" }];
    expect(filtersFor("logs", filters).map((one) => one.field)).toEqual(["source_ip", "fields.outcome"]);
    expect(filtersFor("alerts", filters).map((one) => one.field)).toEqual(["level"]);
  });
});

describe("sums", () => {
  test("periods and trends", () => {
    expect(periodBefore(2000, 3000)).toEqual({ start: new Date(1000).toISOString(), end: new Date(2000).toISOString() });
    expect(growth(15, 10)).toBe(50);
    expect(growth(15, 0)).toBeUndefined();
    expect(summed([[1, 2], [1], []])).toEqual([2, 2]);
  });
  test("several timelines on one axis", () => {
    const line = (times: string[], counts: number[]) => ({ width_s: 60, times, series: [{ value: null, counts, total: 0, others: false }], total: 0 });
    expect(together([line(["b", "c"], [1, 2]), line(["a", "b"], [3, 4])])).toEqual({ times: ["a", "b", "c"], series: [[0, 1, 2], [3, 4, 0]] });
    expect(together([])).toEqual({ times: [], series: [] });
  });
  test("by weekday and hour of the viewer's clock", () => {
    const monday = new Date(2026, 10, 23, 5).toISOString();
    const sunday = new Date(2026, 10, 29, 23).toISOString();
    const cells = byHour([monday, sunday, monday], [2, 3, 4]);
    expect(cells[0]?.[5]).toBe(6);
    expect(cells[6]?.[23]).toBe(3);
    expect(cells.flat().reduce((all, one) => all + one, 0)).toBe(9);
  });
  test("the busiest of pairs, and how many there was no room for", () => {
    const pairs = [["a", "x", 5], ["a", "y", 4], ["b", "x", 3], ["c", "z", 1]].map(([source, target, count]) => ({ source, target, count: Number(count), last_seen: "", sent: 0, received: 0 }));
    const graph = joined(pairs, 2);
    expect(graph.sources).toEqual([{ name: "a", count: 9 }, { name: "b", count: 3 }]);
    expect(graph.targets.map((one) => one.name)).toEqual(["x", "y"]);
    expect(graph.links).toHaveLength(3);
    expect(graph.left).toBe(1);
  });
  test("usage of hosts", () => {
    const usage: Schemas["Usage"] = { width_s: 60, times: ["a"], hosts: [{ host: "h", measurements: { network_received_bytes_s: [1], network_sent_bytes_s: [null], cpu_percent: [3] } }, { host: "busy", measurements: { cpu_percent: [90] } }] };
    expect(usageSeries(usage, "cpu_percent", {}).map((one) => one.name)).toEqual(["busy", "h"]);
    expect(usageSeries(usage, "network", { received: "in", sent: "out" }).map((one) => one.name)).toContain("h in");
    expect([unitOf("disk_percent"), unitOf("disk"), unitOf("load_1m")]).toEqual(["percent", "bytes", "count"]);
  });
  test("countries", () => {
    const info = new Map([["8.8.8.8", { address: "8.8.8.8", country: "US", kind: "global" }]]);
    const pair = { source: "10.0.0.1", target: "8.8.8.8", count: 2, last_seen: "", sent: 5, received: 6 };
    expect(byCountry([pair, { ...pair, target: "10.0.0.2" }], info)).toEqual([{ code: "US", bytes: 11, connections: 2 }, { code: "", bytes: 11, connections: 2 }]);
    expect(countryName("DE")).toBe("Germany");
    expect(countryName("<b>")).toBe("<b>");
  });
  test("hosts are fresh, quiet or silent", () => {
    const now = Date.parse("2026-11-28T12:00:00Z");
    expect(["2026-11-28T11:58:00Z", "2026-11-28T11:30:00Z", "2026-11-27T12:00:00Z", "never"].map((seen) => hostStatus(seen, now))).toEqual(["ok", "degraded", "failed", "failed"]);
  });
});

describe("the gate", () => {
  test("lets a few through, and nothing for who gave up", async () => {
    const gate = new Gate(2);
    const open: (() => void)[] = [];
    const asked: number[] = [];
    const abort = new AbortController();
    const ask = (name: number, signal: AbortSignal) =>
      gate.through(signal, () => {
        asked.push(name);
        return new Promise<number>((done) => open.push(() => done(name)));
      });
    const free = new AbortController().signal;
    const first = [ask(1, free), ask(2, free)];
    const given = ask(3, abort.signal);
    const last = ask(4, free);
    expect(asked).toEqual([1, 2]);
    abort.abort();
    open[0]?.();
    await expect(given).rejects.toThrow();
    expect(await first[0]).toBe(1);
    await expect.poll(() => asked).toEqual([1, 2, 4]);
    for (const one of open) one();
    expect(await last).toBe(4);
    expect(gate.waiting).toBe(0);
  });
  test("a failure leaves room", async () => {
    const gate = new Gate(1);
    const signal = new AbortController().signal;
    await expect(gate.through(signal, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await gate.through(signal, () => Promise.resolve(1))).toBe(1);
  });
});
