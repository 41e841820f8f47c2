// Numbers that glide to where they belong, so that the eye can follow an arrow or a dot.

const MILLISECONDS = 450;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** An array of numbers on its way from its last values to new ones. */
export class Glide {
  #from = null;
  #to = null;
  #began = -Infinity;

  /**
   * Set where to go.
   *
   * @param {Float64Array} values [n]
   * @param {boolean} glides false: be there at once, as when a hand is dragging.
   */
  goTo(values, glides) {
    const canGlide = glides && !still.matches && this.#to?.length === values.length;
    this.#from = canGlide ? this.now() : null;
    this.#began = canGlide ? performance.now() : -Infinity;
    this.#to = values;
  }

  /** The values now [n]. */
  now() {
    if (!this.moves) return this.#to;
    const t = (performance.now() - this.#began) / MILLISECONDS;
    const share = t * t * (3 - 2 * t);
    return this.#to.map((value, k) => this.#from[k] + share * (value - this.#from[k]));
  }

  /** Whether the values are still on their way. */
  get moves() {
    return performance.now() - this.#began < MILLISECONDS;
  }
}
