// The table of figures.

import { element, write } from "./elements.js";
import { meanOf } from "./estimator.js";
import { digitsFor, signed, size, vector } from "./numbers.js";
import { chanceSentence } from "./sentences.js";

/** @import { Experiment } from "./experiment.js" */
/** @import { State } from "./state.js" */

/**
 * Fill in the table.
 *
 * @param {Experiment} experiment
 * @param {State} state
 */
export function showFigures(experiment, state) {
  const { chosen } = experiment;
  const digits = digitsFor(state.scale);
  const cells = {
    value: signed(experiment.expectedReward, digits + 1),
    sample: signed(meanOf(experiment.rewards), digits + 1),
    exact: vector(experiment.exact, digits),
    estimate: vector(experiment.estimate, digits),
    mean: vector(chosen.mean, digits),
    off: errorOf(experiment, state),
    variance: size(chosen.variance),
    after: signed(experiment.expectedRewardAfter, digits + 1),
  };
  element("figures").classList.toggle("wide", experiment.dimensions > 2);
  for (const [name, text] of Object.entries(cells)) write(element(`figure-${name}`), text);
  write(element("chance"), chanceSentence(experiment, state));
}

/**
 * How far the mean is off, in the component where it is most.
 *
 * @param {Experiment} experiment
 * @param {State} state
 */
function errorOf({ chosen, slope }, { baseline, scale }) {
  if (baseline === "standardized") return "other units";
  if (!chosen.varies && slope > 1e-6 * scale) return "no two estimates differ";
  return `${chosen.standardErrorsOff.toFixed(1)} std. errors`;
}
