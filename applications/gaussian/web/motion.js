// Numbers that glide to where they belong, so that the eye can follow an arrow or a dot.

const MILLISECONDS = 450;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** An array of numbers on its way from its last values to new ones. */
export class Glide {
  #from = new Float64Array(0);
  #to = new Float64Array(0);
  #began = -Infinity;

  /**
   * Set where to go.
   *
   * @param {Float64Array} values [n]
   * @param {boolean} glides false: be there at once, as when a hand is dragging.
   */
  goTo(values, glides) {
    const canGlide = glides && !still.matches && this.#to.length === values.length;
    if (canGlide) this.#from = Float64Array.from(this.now());
    this.#began = canGlide ? performance.now() : -Infinity;
    this.#to = Float64Array.from(values);
  }

  /**
   * The values now [n].
   *
   * @returns {Float64Array}
   */
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
