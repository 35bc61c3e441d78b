/** What is known of addresses without asking anybody: their country and kind, and sums of traffic by country. */

import { api, type Schemas } from "./api/client";
import { gate } from "./gate";

export type AddressInfo = Schemas["AddressInfo"];

const AT_ONCE = 400;
const regions = new Intl.DisplayNames("en", { type: "region" });

/** Country and kind of addresses, by address. */
export async function known(signal: AbortSignal, addresses: readonly string[]): Promise<Map<string, AddressInfo>> {
  const asked = [...new Set(addresses)].filter((one) => /^[0-9a-fA-F.:]{2,45}$/.test(one)).slice(0, AT_ONCE);
  if (!asked.length) return new Map();
  const found = await gate.through(signal, () => api.get("/api/v1/addresses", { query: { address: asked.join(",") }, signal }));
  return new Map(found.map((one) => [one.address, one]));
}

/** "Germany" for DE; the code itself when it names no country. */
export function countryName(code: string): string {
  if (!/^[A-Z]{2}$/.test(code)) return code;
  try {
    return regions.of(code) ?? code;
  } catch {
    return code;
  }
}

export interface CountrySum {
  code: string;
  bytes: number;
  connections: number;
}

/** Bytes and connections by the country of the end that is public; "" where neither is, or nobody knows. */
export function byCountry(pairs: readonly Schemas["Pair"][], info: ReadonlyMap<string, AddressInfo>): CountrySum[] {
  const sums = new Map<string, CountrySum>();
  for (const pair of pairs) {
    const code = info.get(String(pair.target))?.country || info.get(String(pair.source))?.country || "";
    const sum = sums.get(code) ?? { code, bytes: 0, connections: 0 };
    sums.set(code, { code, bytes: sum.bytes + pair.sent + pair.received, connections: sum.connections + pair.count });
  }
  return [...sums.values()].sort((a, b) => b.bytes - a.bytes);
}
