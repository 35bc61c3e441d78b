/** Asks for the password once more when the API wants it; the dialog is in the shell (components/StepUp.svelte). */

import { hooks } from "./api/client";

class StepUp {
  open = $state(false);
  #answer: ((given: boolean) => void) | undefined;
  #asked: Promise<boolean> | undefined;

  /** True when the password was given. Several requests at once wait for one dialog. */
  ask(): Promise<boolean> {
    this.#asked ??= new Promise<boolean>((resolve) => {
      this.#answer = resolve;
      this.open = true;
    });
    return this.#asked;
  }

  end(given: boolean): void {
    this.open = false;
    this.#answer?.(given);
    this.#answer = this.#asked = undefined;
  }
}

export const stepUp = new StepUp();
hooks.stepUp = () => stepUp.ask();
