/** A gate that lets a few requests through at a time: a page of many panels asks the server for one after the other. */

export class Gate {
  #busy = 0;
  #waiting: (() => void)[] = [];

  constructor(readonly capacity: number) {}

  /** Ask when there is room. Who gave up meanwhile asks nothing. */
  async through<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    while (this.#busy >= this.capacity) {
      await new Promise<void>((open) => this.#waiting.push(open));
      if (signal.aborted) {
        this.#waiting.shift()?.();
        signal.throwIfAborted();
      }
    }
    signal.throwIfAborted();
    this.#busy += 1;
    try {
      return await ask();
    } finally {
      this.#busy -= 1;
      this.#waiting.shift()?.();
    }
  }

  get waiting(): number {
    return this.#waiting.length;
  }
}

/** The one of all panels. */
export const gate = new Gate(4);
