// The terms of the average, one row a sample: pointing at a row marks the sample, and the other way.

import { amount, digitsFor, unitOf, vector } from "./numbers.js";

/** @import { Distribution, Experiment } from "./experiment.js" */
/** @import { State } from "./state.js" */

/** The table of the terms. */
export class Terms {
  #body;
  /** @type {Experiment | null} */
  #shown = null;
  #marked = -1;

  /**
   * @param {HTMLTableElement} table
   * @param {(sample: number) => void} mark told which sample is pointed at; −1 for none.
   */
  constructor(table, mark) {
    this.#body = table.tBodies[0];
    const rowOf = (/** @type {Event} */ event) =>
      Number(/** @type {HTMLElement} */ (event.target).closest("tr")?.dataset.sample ?? -1);
    this.#body.addEventListener("pointerover", (event) => mark(rowOf(event)));
    this.#body.addEventListener("focusin", (event) => mark(rowOf(event)));
    this.#body.addEventListener("pointerleave", () => mark(-1));
    this.#body.addEventListener("focusout", () => mark(-1));
    this.#body.addEventListener("keydown", (event) => {
      const steps = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!steps) return;
      event.preventDefault();
      const next = this.#body.rows[rowOf(event) + steps];
      if (next) next.focus();
    });
  }

  /**
   * Write the rows, once for every experiment, and mark one.
   *
   * @param {Experiment} experiment
   * @param {Distribution<any, any>} distribution
   * @param {number} sample
   * @param {State} state
   */
  draw(experiment, distribution, sample, state) {
    if (this.#shown !== experiment) {
      this.#shown = experiment;
      this.#body.innerHTML = rowsOf(experiment, distribution, state);
      this.#marked = -1;
    }
    if (this.#marked === sample) return;
    this.#body.rows[this.#marked]?.classList.remove("marked");
    this.#marked = sample;
    const row = this.#body.rows[sample];
    if (!row) return;
    row.classList.add("marked");
    const box = /** @type {HTMLElement} */ (this.#body.closest("div"));
    const isOut =
      row.offsetTop < box.scrollTop || row.offsetTop > box.scrollTop + box.clientHeight - 30;
    if (isOut && !box.matches(":hover, :focus-within")) box.scrollTop = row.offsetTop - 60;
  }
}

/**
 * The rows in HTML; all of it is numbers.
 *
 * @param {Experiment} experiment
 * @param {Distribution<any, any>} distribution
 * @param {State} state
 */
function rowsOf(experiment, distribution, state) {
  const { weights, rewards, scores, factors, dimensions } = experiment;
  const unit = unitOf(state);
  const digits = digitsFor(unit) - 1;
  const rows = [];
  for (let k = 0; k < weights.length; k++) {
    const own = scores.subarray(k * dimensions, (k + 1) * dimensions);
    const term = own.map((entry) => entry * factors.weighted[k]);
    const draw = distribution.drawName(experiment, k);
    const score = vector(
      own.map((entry) => entry * factors.score[k]),
      2,
    );
    const cells = [
      draw,
      score,
      amount(rewards[k], state.scale, 1),
      amount(weights[k], unit),
      vector(term, digits),
    ];
    const focus = k === 0 ? 0 : -1; // one stop for the Tab key, arrow keys from there
    rows.push(
      `<tr data-sample="${k}" tabindex="${focus}"><th scope="row">${k + 1}</th>` +
        `${cells.map((cell) => `<td>${upright(cell)}</td>`).join("")}</tr>`,
    );
  }
  return rows.join("");
}

/**
 * A pair of numbers, one above the other: so a row is narrow.
 *
 * @param {string} text
 */
function upright(text) {
  return text.replace(/[()]/g, "").replace(", ", "<br>");
}
