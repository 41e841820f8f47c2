// The table of figures.

import { element, write } from "./elements.js";
import { meanOf } from "./estimator.js";
import { digitsFor, signed, size, vector } from "./numbers.js";
import { chanceSentence } from "./sentences.js";

/** @import { Experiment } from "./experiment.js" */
/** @import { Scatter } from "./estimator.js" */
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
    off: errorOf(chosen, state.baseline),
    variance: size(chosen.variance),
    after: signed(experiment.expectedRewardAfter, digits + 1),
  };
  element("figures").classList.toggle("wide", experiment.dimensions > 2);
  for (const [name, text] of Object.entries(cells)) write(element(`figure-${name}`), text);
  write(element("chance"), chanceSentence(experiment, state));
}

/**
 * How far the mean is off, in the component where it is most; no figure where there is no error to
 * measure it by.
 *
 * @param {Scatter} chosen
 * @param {string} baseline
 */
export function errorOf({ varies, standardErrorsOff }, baseline) {
  if (baseline === "standardized") return "other units";
  return varies ? `${standardErrorsOff.toFixed(1)} std. errors` : "no two estimates differ";
}
