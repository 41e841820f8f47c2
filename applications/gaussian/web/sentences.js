// What the page says in sentences: of the noise, of the picture, of a sample.

import { readAverage } from "./estimator.js";
import { amount, counted, digitsFor, signed, size, twoDigits, unitOf, vector } from "./numbers.js";
import { REPEATS } from "./study.js";

/** @import { Range } from "./estimator.js" */
/** @import { Experiment, GaussianExperiment } from "./experiment.js" */
/** @import { State } from "./state.js" */

/** The baselines, as they are called in a sentence. */
export const BASELINE_NAMES = {
  "none": "no baseline",
  "constant": "a constant",
  "moving-average": "a moving average",
  "leave-one-out": "leave-one-out",
  "standardized": "standardised rewards",
  "best": "the best constant",
};
/** A slope in the distribution's own units, over the scale of the reward, that counts as none. */
const FLAT = 1e-6;
/** So unlikely are draws that a Gaussian did not make. */
const UNLIKELY = 1e-6;

/**
 * The name of a baseline in a sentence.
 *
 * @param {string} baseline
 */
export function nameOf(baseline) {
  return BASELINE_NAMES[/** @type {keyof typeof BASELINE_NAMES} */ (baseline)];
}

/**
 * What the cloud says of the baseline.
 *
 * @param {Experiment} experiment
 * @param {State} state
 */
export function worthSentence(experiment, state) {
  const { baseline, gradient } = state;
  const { chosen, none } = experiment;
  if (gradient === "density") {
    return "Biased: ∇p in place of ∇ log p. The estimates miss the exact gradient.";
  }
  if (baseline === "standardized") {
    return "Standardised rewards give a biased estimate in other units: the variances cannot be compared.";
  }
  if (!chosen.varies) return stillSentence(experiment, state);
  if (baseline === "none") {
    const spread = size(Math.sqrt(chosen.variance), 2);
    return `One estimate without a baseline strays by ${spread} (√ of the total variance, all components).`;
  }
  if (!none.varies) {
    return `Without a baseline all ${REPEATS} estimates are equal; ${nameOf(baseline)} adds noise.`;
  }
  return [worthNow(experiment, state), ...settledSentence(experiment, state)].join(" ");
}

/**
 * What it means that no two estimates differ.
 *
 * @param {Experiment} experiment
 * @param {State} state
 */
function stillSentence({ slope, rewards }, { baseline, scale, samples }) {
  const with_ = baseline === "none" ? "Without a baseline" : `With ${nameOf(baseline)}`;
  const equal = `${with_} all ${REPEATS} estimates are equal`;
  if (slope < FLAT * scale) return `${equal}: there is no noise.`;
  const draws = counted(REPEATS * samples, "draw");
  const isEven = rewards.every((reward) => reward === rewards[0]);
  const earned = isEven ? ` Every draw earned ${amount(rewards[0], scale, 1)}.` : "";
  return (
    `${equal}, but the exact gradient is not zero. What it comes from is so rare that none of the ` +
    `${draws} met it: the noise is rare too, not absent.${earned}`
  );
}

/**
 * How many samples the baseline saves.
 *
 * @param {Experiment} experiment
 * @param {State} state
 */
function worthNow({ worth }, { baseline, samples, average, scale }) {
  const isAveraging = baseline === "moving-average";
  if (isAveraging && average[1] === 0) {
    return "The moving average is empty before the first step: it subtracts nothing.";
  }
  const name = isAveraging
    ? `this moving average (${amount(readAverage(average), scale)})`
    : nameOf(baseline);
  const verb = samples === 1 ? "is" : "are";
  return `${counted(samples, "sample")} with ${name} ${verb} as precise as about ${rangeOf(worth)} without a baseline.`;
}

/**
 * What the moving average will be worth.
 *
 * @param {Experiment} experiment
 * @param {State} state
 */
function settledSentence({ settled }, { average, samples }) {
  if (!settled || !Number.isFinite(settled.value)) return [];
  const start =
    average[1] === 0
      ? `Once settled at the expected reward, ${counted(samples, "sample")}`
      : "Once settled, they";
  return [`${start} would be as precise as about ${rangeOf(settled)}.`];
}

/**
 * A worth with its range.
 *
 * @param {Range} worth
 */
export function rangeOf({ value, low, high }) {
  return `${twoDigits(value)} (${twoDigits(low)} to ${twoDigits(high)})`;
}

/**
 * What to think of a mean that is some standard errors off; nothing where that is usual.
 *
 * @param {Experiment} experiment
 * @param {State} state
 */
export function chanceSentence({ chosen, dimensions }, { baseline, gradient }) {
  const off = chosen.standardErrorsOff;
  if (baseline === "standardized" || gradient === "density" || off < 1.95) return "";
  const share = 1 - (1 - 2 * normalTail(off)) ** dimensions;
  if (share < 1e-4) return "";
  const often =
    share < 0.01 ? `${size(1000 * share, 1)} in 1,000` : `${Math.round(100 * share)} in 100`;
  return `Unbiased by construction: this miss is chance, and ${often} such clouds miss by more.`;
}

/**
 * Upper tail of the standard normal, by Abramowitz and Stegun's 26.2.17; right to 1e-7.
 *
 * @param {number} z positive.
 */
function normalTail(z) {
  const t = 1 / (1 + 0.2316419 * z);
  const sum = [1.330274429, -1.821255978, 1.781477937, -0.356563782, 0.31938153].reduce(
    (total, coefficient) => (total + coefficient) * t,
    0,
  );
  return (sum * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI);
}

/**
 * What a screen reader says after a change.
 *
 * @param {Experiment} experiment
 * @param {State} state
 * @param {number} steps taken in the present run.
 */
export function statusSentence(experiment, state, steps) {
  const digits = digitsFor(state.scale);
  const run = steps > 0 ? `${counted(steps, "step")} taken. ` : "";
  return [
    `${run}Expected reward ${signed(experiment.expectedReward, digits)}.`,
    `Exact gradient ${vector(experiment.exact, digits)}.`,
    `Samples: ${state.samples}. Estimate ${vector(experiment.estimate, digits)}.`,
    worthSentence(experiment, state),
    `After the step ${signed(experiment.expectedRewardAfter, digits)}.`,
  ].join(" ");
}

/**
 * A warning where given draws cannot be samples of the Gaussian that they are weighted by.
 *
 * @param {GaussianExperiment} experiment
 * @param {State} state
 */
export function strangerSentence({ noise, weights }, { draws }) {
  if (!draws) return "";
  let farthest = 0;
  for (let k = 0; k < noise.length; k += 2) {
    farthest = Math.max(farthest, noise[k] ** 2 + noise[k + 1] ** 2);
  }
  if (weights.length * Math.exp(-farthest / 2) > UNLIKELY) return "";
  const distance = size(Math.sqrt(farthest), 2);
  return `Given draws: the farthest is ${distance} standard deviations away. This Gaussian did not draw them, so their average is no estimate of its gradient.`;
}

/**
 * What each score is multiplied by, in words.
 *
 * @param {State} state
 */
export function weightName({ baseline }) {
  if (baseline === "none") return "reward";
  return baseline === "standardized" ? "standardised reward" : "(reward − baseline)";
}

/**
 * A note on a moving average that has seen nothing.
 *
 * @param {State} state
 */
export function emptyNote({ baseline, average }) {
  const isEmpty = baseline === "moving-average" && average[1] === 0;
  return isEmpty ? " The moving average is empty before the first step." : "";
}

/**
 * A sample in figures.
 *
 * @param {GaussianExperiment} experiment
 * @param {number} sample its index.
 * @param {State} state
 */
export function sampleSentence(experiment, sample, state) {
  const { points, logProbs, scores, rewards, weights, factors } = experiment;
  const pair = (/** @type {Float64Array} */ values) =>
    vector(values.subarray(2 * sample, 2 * sample + 2), 2);
  const unit = unitOf(state);
  const term = [0, 1].map((d) => factors.weighted[sample] * scores[2 * sample + d]);
  return (
    `x = ${pair(points)}: log p = ${signed(logProbs[sample], 2)}, score ${pair(scores)}, ` +
    `reward ${amount(rewards[sample], state.scale)}, weight ${amount(weights[sample], unit)}, ` +
    `term ${vector(term, digitsFor(unit) - 1)}`
  );
}
