// The picture of the noise: repeated estimates around the exact gradient.

import { prepared } from "./canvas.js";
import { Glide } from "./motion.js";
import { MOVES } from "./policy.js";
import { drawDots, drawEstimate, drawScale, drawTruth, scaleFor } from "./scatter.js";

/** @import { Experiment } from "./experiment.js" */

/** A cloud that is so much smaller than its canvas is drawn larger. */
const SHRUNK = 15;

/** The canvas of the cloud. */
export class Cloud {
  #canvas;
  #dots = new Glide();
  #reach = 0;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Whether a dot still glides. */
  get moves() {
    return this.#dots.moves;
  }

  /**
   * Set what to draw: the estimates with the chosen baseline, from the same draws as without.
   *
   * @param {Experiment} experiment
   * @param {boolean} glides
   */
  show(experiment, glides) {
    this.#dots.goTo(experiment.chosen.estimates, glides);
  }

  /** Choose the scale afresh at the next drawing. */
  rescale() {
    this.#reach = 0;
  }

  /**
   * The scale stays for as long as it can, so that a cloud can be seen to shrink.
   *
   * @param {Experiment} experiment
   */
  #fit({ none, chosen, exact }) {
    const farthest = Math.max(reachOf(none.estimates, exact), reachOf(chosen.estimates, exact));
    if (farthest > this.#reach || farthest < this.#reach / SHRUNK) this.#reach = farthest;
    return this.#reach;
  }

  /**
   * Draw an experiment's estimates: in the plane of two components, or a strip for each of more.
   *
   * @param {Experiment} experiment
   * @param {boolean} hasBaseline whether to show those without one, too.
   * @param {number} opacity
   */
  draw(experiment, hasBaseline, opacity) {
    const { exact, none, estimate } = experiment;
    const view = scaleFor(prepared(this.#canvas), exact, this.#fit(experiment));
    const { context, colour, height, width, font } = view;
    context.globalAlpha = opacity;
    drawScale(view);
    context.font = `italic ${font}`;
    if (exact.length === 2) {
      context.fillText("∂μ₁", width - 26, height - 6);
      context.fillText("∂μ₂", 6, 14);
    }
    if (exact.length > 2) {
      context.textAlign = "center";
      MOVES.forEach((name, d) => {
        context.fillText(name, (d + 0.5) * view.strip, 14);
      });
      context.textAlign = "left";
    }
    if (hasBaseline) drawDots(view, none.estimates, colour.muted, 0.3);
    drawDots(view, this.#dots.now(), colour.density, 0.55);
    drawTruth(view, exact);
    drawEstimate(view, estimate);
    context.globalAlpha = 1;
  }
}

/**
 * How far nearly all estimates are from the exact gradient.
 *
 * @param {Float64Array} estimates
 * @param {ArrayLike<number>} exact
 */
export function reachOf(estimates, exact) {
  const distances = estimates.map((entry, k) => Math.abs(entry - exact[k % exact.length])).sort();
  return distances[Math.floor(0.995 * distances.length)] || 1;
}
