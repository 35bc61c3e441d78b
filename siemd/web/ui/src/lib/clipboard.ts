/** Text into the clipboard, with a word about how it went. */

import { strings } from "../strings";
import { toasts } from "./toasts.svelte";

export async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toasts.done(strings.common.copied);
  } catch (error) {
    toasts.failed(error);
  }
}
