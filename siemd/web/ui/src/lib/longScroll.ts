/**
 * Where one is in a list that is higher than browsers let an element be: the height of the element has a limit, and its
 * scroll bar stands for all of the list. Near both ends a step of the bar is a step of the list, so that they meet; a
 * small step is that everywhere, so that a wheel passes no row; only who drags the bar goes further.
 */

const MOST_PX = 8_000_000; // beyond, browsers no longer know where they are
const END_PX = 100_000;

export class LongScroll {
  /** How far in the list the top is. */
  topPx = 0;
  #barPx = 0;
  #viewPx = 0;
  #longPx = 0;
  /** How much one pixel of the bar between the ends is of the list. */
  #stretch = 1;

  /** The height of the element. */
  get heightPx(): number {
    return Math.min(this.#longPx, MOST_PX);
  }

  /** How much higher up than in a list without a limit a row is drawn. */
  get shiftPx(): number {
    return this.topPx - this.#barPx;
  }

  /** The height of the list, and of what one sees of it. */
  measure(longPx: number, viewPx: number): void {
    this.#longPx = longPx;
    this.#viewPx = viewPx;
    const free = this.#mostBarPx - 2 * END_PX;
    this.#stretch = this.#longPx > MOST_PX ? (this.#mostTopPx - 2 * END_PX) / free : 1;
  }

  /** The bar was moved. Answers where it is to stand. */
  moved(barPx: number): number {
    const far = Math.abs(barPx - this.#barPx) > this.#viewPx;
    if (far || this.#stretch === 1) this.#stand(barPx, this.#topOf(barPx));
    else this.#stand(barPx, barPx + this.shiftPx);
    const [bar, top] = [this.#barPx, this.topPx];
    const nearEnd = Math.min(bar, this.#mostBarPx - bar, top, this.#mostTopPx - top) < END_PX;
    if (nearEnd && this.#stretch !== 1) this.#stand(this.#barOf(top), top);
    return this.#barPx;
  }

  /** Go to a place in the list. Answers where the bar is to stand. */
  goTo(topPx: number): number {
    const top = Math.max(0, Math.min(this.#mostTopPx, topPx));
    const bar = top - this.shiftPx;
    const near = Math.abs(top - this.topPx) <= this.#viewPx && bar >= 0 && bar <= this.#mostBarPx;
    this.#stand(near ? bar : this.#barOf(top), top);
    return this.moved(this.#barPx);
  }

  #stand(barPx: number, topPx: number): void {
    this.#barPx = barPx;
    this.topPx = topPx;
  }

  get #mostBarPx(): number {
    return Math.max(0, this.heightPx - this.#viewPx);
  }

  get #mostTopPx(): number {
    return Math.max(0, this.#longPx - this.#viewPx);
  }

  #topOf(bar: number): number {
    if (this.#stretch === 1 || bar < END_PX) return bar;
    if (bar > this.#mostBarPx - END_PX) return this.#mostTopPx - (this.#mostBarPx - bar);
    return END_PX + (bar - END_PX) * this.#stretch;
  }

  #barOf(top: number): number {
    if (this.#stretch === 1 || top < END_PX) return top;
    if (top > this.#mostTopPx - END_PX) return this.#mostBarPx - (this.#mostTopPx - top);
    return END_PX + (top - END_PX) / this.#stretch;
  }
}
