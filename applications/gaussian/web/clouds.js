// The clouds of all baselines side by side: the same draws, one scale.

import { prepared } from "./canvas.js";
import { reachOf } from "./cloud.js";
import { write } from "./elements.js";
import { amount, size, twoDigits } from "./numbers.js";
import { drawDots, drawTruth, drawZero, scaleFor } from "./scatter.js";

/** @import { Experiment } from "./experiment.js" */
/** @import { State } from "./state.js" */

const KINDS = [
  { baseline: "none", name: "none" },
  { baseline: "constant", name: "constant" },
  { baseline: "moving-average", name: "moving average" },
  { baseline: "leave-one-out", name: "leave-one-out" },
  { baseline: "best", name: "best constant" },
  { baseline: "standardized", name: "standardised" },
];

/** A cell for each baseline. */
export class Clouds {
  /** @type {{button: HTMLButtonElement, canvas: HTMLCanvasElement, name: HTMLElement, worth: HTMLElement}[]} */
  #cells;
  #best = 0;

  /**
   * @param {HTMLElement} grid
   * @param {(fields: Partial<State>) => void} choose told what the cloud that was clicked stands for.
   */
  constructor(grid, choose) {
    this.#cells = KINDS.map(({ baseline }) => {
      const button = document.createElement("button");
      const canvas = document.createElement("canvas");
      const [name, worth] = [document.createElement("b"), document.createElement("span")];
      canvas.setAttribute("aria-hidden", "true");
      button.type = "button";
      button.dataset.cloud = baseline;
      button.append(canvas, name, worth);
      button.addEventListener("click", () => choose(this.#fieldsOf(baseline)));
      grid.append(button);
      return { button, canvas, name, worth };
    });
  }

  /**
   * The state that a cloud stands for.
   *
   * @param {string} baseline
   * @returns {Partial<State>}
   */
  #fieldsOf(baseline) {
    if (baseline === "best") return { baseline: "constant", constant: this.#best };
    return { baseline }; // and the moving average stays the one that is shown
  }

  /**
   * Draw all of them.
   *
   * @param {Experiment} experiment
   * @param {State} state
   */
  draw(experiment, state) {
    const { exact, scatter, none, best } = experiment;
    this.#best = best;
    const reach = reachOf(none.estimates, exact);
    KINDS.forEach(({ baseline, name }, k) => {
      const { button, canvas, name: label, worth } = this.#cells[k];
      const isChosen = baseline === state.baseline;
      button.setAttribute("aria-pressed", String(isChosen));
      write(label, name + subtrahend(baseline, experiment, state));
      write(worth, this.#worth(baseline, experiment, state));
      const view = scaleFor(prepared(canvas), exact, reach);
      drawZero(view);
      if (state.samples === 1 && ["leave-one-out", "standardized"].includes(baseline)) return;
      const { estimates } = scatter(baseline);
      drawDots(view, estimates, isChosen ? view.colour.density : view.colour.ink, 0.4, 1.5);
      drawTruth(view, exact, 6);
    });
  }

  /**
   * What a baseline is worth, with its range; standardised rewards have other units.
   *
   * @param {string} baseline
   * @param {Experiment} experiment
   * @param {State} state
   */
  #worth(baseline, { worthWith, scatter }, { samples, gradient }) {
    const needsTwo = ["leave-one-out", "standardized"].includes(baseline);
    if (needsTwo && samples < 2) return "needs 2 samples";
    if (baseline === "standardized") return "other units";
    if (gradient === "density") return "biased";
    const { value, low, high } = worthWith(baseline);
    if (!scatter(baseline).varies) return "no two differ";
    if (low === high) return twoDigits(value);
    return `${twoDigits(value)} (${twoDigits(low)}–${twoDigits(high)})`;
  }
}

/**
 * The number that a baseline subtracts, where it is the same for all draws.
 *
 * @param {string} baseline
 * @param {Experiment} experiment
 * @param {State} state
 */
function subtrahend(baseline, { best }, { constant, average: [sum, mass], scale }) {
  if (baseline === "constant") return ` ${size(constant, 3)}`;
  if (baseline === "best") return ` ${amount(best, scale)}`;
  if (baseline === "moving-average") return mass > 0 ? ` ${amount(sum / mass, scale)}` : " (empty)";
  return "";
}
