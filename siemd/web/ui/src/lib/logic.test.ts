/** The logic that pages stand on: time ranges, state in addresses, filters, hostile text, pages of rows. */

import { describe, expect, test } from "vitest";
import { addressOf, fill } from "./api/client";
import { errorOf } from "./api/problem";
import { Bounded } from "./bounded";
import { flag, integer, list, oneOf, text } from "./codec";
import { negated, parseFilter, readFilters, structured, withValue, writeFilter, type Filter } from "./filters";
import { bytes, counterValue, duration, humanCounter, since, utc } from "./format";
import { detailOf } from "./health";
import { textOf, visible, visibleParts } from "./hostile";
import { PageWindow } from "./stretches";
import { absolute, DEFAULT_RANGE, instantOf, parseRange, rangeQuery, resolveRange, shifted, zoomed } from "./timeRange";

const NOW = Date.parse("2026-11-28T12:00:00Z");
const HOUR = 3_600_000;

describe("time ranges", () => {
  test("relative and absolute ends", () => {
    expect(instantOf("-24h", NOW)).toBe(NOW - 24 * HOUR);
    expect(instantOf("2026-11-28T11:00:00.5Z", NOW)).toBe(NOW - HOUR + 500);
    for (const nonsense of ["-24", "24h", "yesterday", "2026-13-45T99:00:00Z", "-9999999h", "2026-11-28"]) {
      expect(instantOf(nonsense, NOW)).toBeUndefined();
    }
  });
  test("what is no range is the usual one", () => {
    expect(parseRange(null, null, NOW)).toEqual(DEFAULT_RANGE);
    expect(parseRange("-1h", null, NOW)).toEqual({ start: "-1h", end: "now" });
    expect(parseRange("-1h", "-2h", NOW)).toEqual(DEFAULT_RANGE);
    expect(parseRange("<script>", "now", NOW)).toEqual(DEFAULT_RANGE);
  });
  test("moved, widened, and as the API wants it", () => {
    expect(shifted({ start: "-2h", end: "now" }, -0.5, NOW)).toEqual(absolute(NOW - 3 * HOUR, NOW - HOUR));
    expect(resolveRange(zoomed({ start: "-2h", end: "-1h" }, 3, NOW), NOW)).toEqual({ startMs: NOW - 3 * HOUR, endMs: NOW });
    expect(absolute(NOW, NOW - HOUR)).toEqual(absolute(NOW - HOUR, NOW));
    expect(rangeQuery({ start: "-1h", end: "now" })).toEqual({ start: "-1h", end: "" });
  });
});

describe("state in addresses", () => {
  test("anything may stand there", () => {
    expect(oneOf(["a", "b"], "a").read(["c"])).toBe("a");
    expect(integer(5, 1, 10).read(["1e9"])).toBe(5);
    expect(integer(5, 1, 10).read(["99"])).toBe(10);
    expect(list().read(["a", "a", "b"])).toEqual(["a", "b"]);
    expect(text("", 3).read(["abcdef"])).toBe("abc");
    expect(flag().read(["yes"])).toBe(false);
  });
  test("what is usual is not written", () => {
    expect(oneOf(["a", "b"], "a").write("a")).toEqual([]);
    expect(integer(5).write(6)).toEqual(["6"]);
    expect(flag().write(true)).toEqual(["1"]);
  });
});

describe("filters", () => {
  test.each<Filter>([
    { field: "source_ip", op: "cidr", value: "10.0.0.0/8" },
    { field: "message", op: "eq", value: "a:b:c" },
    { field: "fields.Odd name:", op: "ne", value: '"' },
    { field: "user_name", op: "eq", value: "" },
  ])("%o comes back as it went", (filter) => expect(parseFilter(writeFilter(filter))).toEqual(filter));
  test("what is none is none", () => {
    for (const nonsense of ["", "a", "a:b", "a:like:b", "{", '{"field":1}', "a b:eq:c", `a:eq:${"x".repeat(5000)}`]) {
      expect(parseFilter(nonsense)).toBeUndefined();
    }
  });
  test("what an address holds is used once, or told to be of no use", () => {
    const { filters, unused } = readFilters(["a:eq:1", "a:like:1", "a:eq:1", '{"field":"a","op":"eq","value":"1"}', "a:like:1"]);
    expect(filters).toEqual([{ field: "a", op: "eq", value: "1" }]);
    expect(unused).toEqual([{ written: "a:like:1", why: "unread" }]);
    const many = readFilters(Array.from({ length: 22 }, (_one, index) => `a:ne:${index}`));
    expect([many.filters.length, many.unused]).toEqual([20, [{ written: "a:ne:20", why: "tooMany" }, { written: "a:ne:21", why: "tooMany" }]]);
    expect(withValue(many.filters, "b", "1", "include")).toHaveLength(21);
  });
  test("within JSON a list is a list", () => {
    expect(structured({ field: "a", op: "in", value: "1,2" }).value).toEqual(["1", "2"]);
    expect(structured({ field: "a", op: "exists", value: "" }).value).toBe(true);
    const odd: Filter = { field: "fields.Odd name", op: "not_in", value: "x,y" };
    expect([writeFilter(odd), parseFilter(writeFilter(odd))]).toEqual(['{"field":"fields.Odd name","op":"not_in","value":["x","y"]}', odd]);
  });
  test("a click shows only a value, hides it, or turns it", () => {
    const only = withValue([], "user_name", "root", "include");
    expect(only).toEqual([{ field: "user_name", op: "eq", value: "root" }]);
    expect(withValue(only, "user_name", "ada", "include")).toEqual([{ field: "user_name", op: "eq", value: "ada" }]);
    expect(withValue(only, "user_name", "root", "exclude")).toEqual([{ field: "user_name", op: "ne", value: "root" }]);
    expect(withValue(only, "user_name", "root", "include")).toEqual(only);
    expect(negated({ field: "a", op: "gt", value: "1" })?.op).toBe("lte");
    expect(negated({ field: "a", op: "prefix", value: "1" })).toBeUndefined();
  });
});

describe("hostile text", () => {
  test("what can't be seen is shown", () => {
    expect(visible("a\u0000b\u202ec\u200bd\ufeffe\u001bf\u0085")).toBe("a\\0b\\u202ec\\u200bd\\ufeffe\\ef\\x85");
    expect(visible("tag\u{e0041}")).toBe("tag\\u{e0041}");
    expect(visible("half \ud83d")).toBe("half \\ud83d");
    expect(visible("whole 😀 ü ع")).toBe("whole 😀 ü ع");
  });
  test("parts say what was escaped", () => {
    expect(visibleParts("a\n\r\\n")).toEqual([
      { text: "a", escaped: false },
      { text: "\\n\\r", escaped: true },
      { text: "\\n", escaped: false },
    ]);
  });
  test("a megabyte costs no more than what is shown", () => {
    expect(visible("\u202e".repeat(1_000_000), 10)).toBe(`${"\\u202e".repeat(10)}…`);
    expect(visible("😀".repeat(10), 3)).toBe("😀…");
  });
  test("values of any kind", () => {
    expect([null, undefined, 0, false, { a: [1] }].map(textOf)).toEqual(["", "", "0", "false", '{"a":[1]}']);
  });
});

describe("for people", () => {
  test("sizes, times and counters", () => {
    expect(bytes(67_108_864)).toBe("64 MiB");
    expect(bytes(1536)).toBe("1.5 KiB");
    expect([0.2, 5, 65, 7300, 200_000].map(duration)).toEqual(["200 ms", "5.0 s", "1 min", "2 h 1 min", "2 d 7 h"]);
    expect(utc(NOW)).toBe("2026-11-28 12:00:00.000 UTC");
    expect(since(NOW - 2 * HOUR, NOW, "long")).toBe("2 hours ago");
    expect([humanCounter("memory_bytes"), counterValue("memory_bytes", 1024)]).toEqual(["memory", "1.0 KiB"]);
  });
});

describe("what the server says", () => {
  test("problems, and what is none", () => {
    const problem = errorOf(403, "", { title: "Forbidden", status: 403, type: "urn:siemd:problem:step-up-required", detail: "again" });
    expect([problem.kind, problem.message]).toEqual(["step-up-required", "again"]);
    expect(errorOf(502, "Bad Gateway", undefined).message).toBe("Bad Gateway");
    const field = errorOf(422, "", { title: "T", status: 422, errors: [{ key: "name", message: "too long" }] });
    expect(field.fields).toEqual({ name: "too long" });
  });
  test("addresses are encoded", () => {
    expect(fill("/api/v1/rules/{name}", { name: "a/../b?c" })).toBe("/api/v1/rules/a%2F..%2Fb%3Fc");
    expect(addressOf("/x", { filter: ["a:eq:1", "b:eq:&"], q: "", start: "-1h" })).toBe("/x?filter=a%3Aeq%3A1&filter=b%3Aeq%3A%26&start=-1h");
    expect(() => fill("/x/{id}")).toThrow();
  });
  test("a status of any shape", () => {
    expect(detailOf(undefined).never).toBe(true);
    const odd = detailOf({ running: true, components: [{ name: "a", status: "?", received: "x", extra: { b: {}, c: 1 } }, 7] });
    expect(odd.parts).toMatchObject([{ name: "a", status: "stopped", received: 0, extra: [["c", 1]] }]);
  });
});

describe("what is held is bounded", () => {
  test("the newest of a stream", () => {
    const list = new Bounded<number>(3);
    list.push([1, 2]);
    list.push([3, 4, 5, 6, 7]);
    expect([list.items, list.dropped]).toEqual([[5, 6, 7], 4]);
  });
  test("pages come in order, are forgotten, and come again", () => {
    const window = new PageWindow<number>();
    for (let page = 0; page < 100; page += 1) {
      expect(window.missing(0, page * 10)).toBeDefined();
      const rows = Array.from({ length: 10 }, (_one, index) => page * 10 + index);
      window.take(page, { rows, next: page < 99 ? `c${page}` : "" });
    }
    expect([window.length, window.ended, window.held.size]).toEqual([1000, true, 30]);
    expect([window.at(999), window.at(0), window.at(1000)]).toEqual([999, undefined, undefined]);
    expect(window.missing(0, 9)).toBe(0);
    expect(window.missing(990, 1100)).toBeUndefined();
    expect(window.cursors[1]).toBe("c0");
  });
});
