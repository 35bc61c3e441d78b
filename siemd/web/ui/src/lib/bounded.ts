/** A list of the newest things that never holds more than it may; what it let go is counted. */

export class Bounded<T> {
  #items: T[] = [];
  dropped = 0;

  constructor(readonly capacity: number) {}

  /** Add what is new, oldest first. */
  push(added: readonly T[]): void {
    const all = this.#items.length + added.length;
    if (all > this.capacity) this.dropped += all - this.capacity;
    this.#items = [...this.#items, ...added.slice(-this.capacity)].slice(-this.capacity);
  }

  get items(): readonly T[] {
    return this.#items;
  }

  clear(): void {
    this.#items = [];
    this.dropped = 0;
  }
}
