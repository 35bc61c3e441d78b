/** What is typed into the filter bar: read as filters and words, and completed. */

import { describe, expect, test } from "vitest";
import { fieldOffers, operatorOffers, placeAt, quoted, readTyped, valueOffers, type Place } from "./completion";
import { OPERATORS, type Operator } from "./filters";

const FIELDS = ["source_ip", "source_port", "user_name", "message"];
const isField = (name: string) => FIELDS.includes(name) || name.startsWith("fields.");
const told = Object.fromEntries(OPERATORS.map((name) => [name, name === "ne" ? "is not" : name])) as Record<Operator, string>;

/** The place at | in a text. */
function at(marked: string): Place | undefined {
  return placeAt(marked.replace("|", ""), marked.indexOf("|"));
}

describe("reading", () => {
  test.each([
    ['failed "log on" -backup', [], 'failed "log on" -backup'],
    ["source_ip:192.0.2.7 failed", ["source_ip:eq:192.0.2.7"], "failed"],
    ["source_ip:cidr:10.0.0.0/8", ["source_ip:cidr:10.0.0.0/8"], ""],
    ["source_ip:fe80::1 source_ip:dead:beef::1", ["source_ip:eq:fe80::1", "source_ip:eq:dead:beef::1"], ""],
    ['user_name:"Ada Lovelace" x', ["user_name:eq:Ada Lovelace"], "x"],
    ['message:contains:"say ""no"": now" x', ['message:contains:say "no": now'], "x"],
    ['message:"C:\\Program Files\\"', ["message:eq:C:\\Program Files\\"], ""],
    ['user_name:in:"a b,c d"', ["user_name:in:a b,c d"], ""],
    ['user_name:""', ["user_name:eq:"], ""],
    ["user_name:exists", ["user_name:exists:true"], ""],
    ["source_ip:like:192", ["source_ip:like:192"], ""],
    ['message:"like:192"', ["message:eq:like:192"], ""],
    ["http://example.test nothing:eq:1", [], "http://example.test nothing:eq:1"],
  ])("%s", (text, filters, words) => expect(readTyped(text, isField)).toEqual({ filters, words }));
  test("what is in quotes comes back", () => {
    for (const value of ["plain", "two words", 'a "quote"', "C:\\a b\\", "", "::1", "a,b"]) {
      expect(readTyped(`user_name:${quoted(value)}`, isField).filters).toEqual([`user_name:eq:${value}`]);
    }
  });
});

describe("completing", () => {
  test("a field's name, also in the midst of words", () => {
    expect(fieldOffers(at("failed port|") as Place, FIELDS).map((one) => one.label)).toEqual(["source_port"]);
    const offers = fieldOffers(at("failed s| later") as Place, FIELDS);
    expect(offers.map((one) => one.label)).toEqual(["source_ip", "source_port", "user_name", "message"]);
    expect(offers[0]).toMatchObject({ text: "source_ip:", from: 7, to: 8 });
  });
  test("an operator, by its name or its words", () => {
    const named = (marked: string) => operatorOffers(at(marked) as Place, ["eq", "ne", "prefix"], told).map((one) => one.text);
    expect(named("user_name:|")).toEqual(["user_name:eq:", "user_name:ne:", "user_name:prefix:"]);
    expect(named("user_name:not|")).toEqual(["user_name:ne:"]);
    expect(named("user_name:pre|")).toEqual(["user_name:prefix:"]);
    expect(named("user_name:eq:|")).toEqual([]);
  });
  test("a value, in quotes where it needs them", () => {
    const values = [{ value: "Ada Lovelace", note: "3" }, { value: "root", note: "2" }, { value: "a,b", note: "1" }, { value: "two\nlines", note: "1" }];
    const texts = (marked: string) => valueOffers(at(marked) as Place, values).map((one) => one.text);
    expect(texts("user_name:|")).toEqual(['user_name:"Ada Lovelace" ', "user_name:root ", "user_name:a,b "]);
    expect(texts("user_name:ne:lov|")).toEqual(['user_name:ne:"Ada Lovelace" ']);
    expect(texts('user_name:"Ada L|')).toEqual(['user_name:"Ada Lovelace" ']);
    expect(texts("user_name:in:root,|")).toEqual(['user_name:in:"root,Ada Lovelace"']);
  });
  test("what follows an open quote stays", () => {
    expect(at('user_name:"Ada L| and more')).toMatchObject({ from: 0, to: 16, field: "user_name", value: "Ada L" });
    expect(at('user_name:"Ada L|ove" more')).toMatchObject({ from: 0, to: 16 });
  });
  test("nothing within a phrase", () => {
    expect(at('"log o|')).toBeUndefined();
    expect(at('-"log o|')).toBeUndefined();
  });
});
