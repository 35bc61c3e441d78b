/** How values of a page's state are written into the query of its address, and read from what anybody may have typed. */

export interface Codec<T> {
  fallback: T;
  read(values: string[]): T;
  /** Nothing is written for the fallback, so that addresses stay short. */
  write(value: T): string[];
}

export function text(fallback = "", most = 1000): Codec<string> {
  return {
    fallback,
    read: ([value]) => (value === undefined ? fallback : value.slice(0, most)),
    write: (value) => (value === fallback ? [] : [value]),
  };
}

export function oneOf<const T extends string>(options: readonly T[], fallback: T): Codec<T> {
  return {
    fallback,
    read: ([value]) => options.find((option) => option === value) ?? fallback,
    write: (value) => (value === fallback ? [] : [value]),
  };
}

export function integer(fallback: number, least = 0, most = Number.MAX_SAFE_INTEGER): Codec<number> {
  return {
    fallback,
    read: ([value]) => {
      const number = value && /^-?\d{1,15}$/.test(value) ? Number(value) : fallback;
      return Math.min(most, Math.max(least, number));
    },
    write: (value) => (value === fallback ? [] : [String(value)]),
  };
}

export function flag(): Codec<boolean> {
  return { fallback: false, read: ([value]) => value === "1", write: (value) => (value ? ["1"] : []) };
}

/** A list, one query parameter each: ?level=high&level=critical. */
export function list(most = 50): Codec<string[]> {
  return { fallback: [], read: (values) => [...new Set(values)].slice(0, most), write: (value) => value };
}
