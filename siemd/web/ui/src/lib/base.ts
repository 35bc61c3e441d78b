/** The path below which siemd is served ("" or "/siemd"), as the server wrote it into the page. */

export const base: string =
  typeof document === "undefined"
    ? ""
    : (document.querySelector<HTMLMetaElement>('meta[name="siemd-base"]')?.content ?? "");
