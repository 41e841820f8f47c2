// Figures as people read them: in the table, in the line under the cloud, in the live region.

import { meanOf } from "./estimator.js";
import { REPEATS } from "./experiment.js";
import { arrowFactors, LENGTHENED } from "./plane.js";

/** A number with its sign, a true minus, and so many digits after the point. */
export function signed(value, digits) {
  if (!Number.isFinite(value)) return "—";
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

function vector(values, digits) {
  if (values.length > 2) return Array.from(values, (value) => signed(value, Math.max(0, digits - 1))).join(" ");
  return `(${Array.from(values, (value) => signed(value, digits)).join(", ")})`;
}

/** Digits after the point for figures in the unit of the reward: three where rewards are about 1. */
function digitsFor({ scale }) {
  return Math.min(20, Math.max(0, 3 - Math.floor(Math.log10(scale))));
}

/** A variance: three digits, whatever its size. */
function size(value) {
  return value === 0 ? "0" : Number(value.toPrecision(3)).toString().replace("-", "−");
}

const BASELINE_NAMES = {
  "constant": "a constant",
  "moving-average": "a moving average",
  "leave-one-out": "leave-one-out",
};

/** Change a text, only if it is another: an equal one would be laid out again all the same. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Fill in the table of figures. */
export function showFigures(experiment, state) {
  const { chosen } = experiment;
  const digits = digitsFor(state);
  const cells = {
    value: signed(experiment.expectedReward, digits + 1),
    sample: signed(meanOf(experiment.rewards), digits + 1),
    exact: vector(experiment.exact, digits),
    estimate: vector(experiment.estimate, digits),
    mean: vector(chosen.mean, digits),
    off: state.baseline === "standardized" ? "other units" : `${chosen.standardErrorsOff.toFixed(1)} std. errors`,
    variance: size(chosen.variance),
    after: signed(experiment.expectedRewardAfter, digits + 1),
  };
  document.getElementById("figures").classList.toggle("wide", experiment.dimensions > 2);
  for (const [name, text] of Object.entries(cells)) {
    write(document.getElementById(`figure-${name}`), text);
  }
}

/** What the cloud says of the baseline, in a sentence. */
export function worthOf(experiment, state) {
  const { samples, baseline, gradient } = state;
  if (gradient === "density") return "Biased: ∇p in place of ∇ log p. The estimates miss the exact gradient.";
  if (baseline === "standardized") return "Standardised rewards give a biased estimate in other units: the variances cannot be compared.";
  const spread = Math.sqrt(experiment.chosen.variance);
  if (baseline === "none") {
    return `Standard deviation of one estimate, without a baseline: ${size(spread)}.`;
  }
  if (!Number.isFinite(experiment.worth)) {
    return `With ${BASELINE_NAMES[baseline]} all ${REPEATS} estimates are equal: there is no noise.`;
  }
  const counted = samples === 1 ? "1 sample" : `${samples} samples`;
  const verb = samples === 1 ? "is" : "are";
  return `${counted} with ${BASELINE_NAMES[baseline]} ${verb} worth ${worthInSamples(experiment.worth)} without.`;
}

function worthInSamples(worth) {
  return worth < 10 ? worth.toFixed(1) : Math.round(worth).toLocaleString("en");
}

/** What a screen reader says after a change. */
export function statusOf(experiment, state) {
  const place = state.tab === "gaussian" ? `Mean ${vector(state.mean, 2)}. ` : "";
  return [
    `${place}Expected reward ${signed(experiment.expectedReward, digitsFor(state))}.`,
    `Exact gradient ${vector(experiment.exact, digitsFor(state))}.`,
    `Samples: ${state.samples}. Estimate ${vector(experiment.estimate, digitsFor(state))}.`,
    worthOf(experiment, state),
    `After the step ${signed(experiment.expectedRewardAfter, digitsFor(state))}.`,
  ].join(" ");
}

/** What the picture shows, in a sentence under it. */
export function captionOf(experiment, state, stage) {
  const weight = state.baseline === "none" ? "reward" : "reward minus baseline";
  const isEmpty = state.baseline === "moving-average" && state.average[1] === 0;
  const note = isEmpty ? " The moving average is empty before the first step." : "";
  const gradient = state.gradient === "density" ? "∇p" : "score";
  const { largest, scale } = arrowFactors(experiment.factors, stage);
  const rate = size(state.rate);
  if (state.tab === "moves") {
    return {
      scores:
        `Each row: a move that was drawn, and its ${gradient} with respect to the five logits ` +
        "(the score: 1 for the move itself, minus the probabilities).",
      weighted: `Each row: a score times ${weight}; the largest factor is ${size(largest)}.${note}`,
      average: "Last row: the average over all draws, and beside it the exact gradient, dashed.",
      step: `Filled: before the step. Outlined, and in figures: after it (logits + ${rate} × average).`,
    }[stage];
  }
  const drawn = `drawn at ${size(scale)} of its length`;
  return {
    scores: `Each arrow: which way to move the mean to make its sample more likely (${gradient}, ${drawn}).`,
    weighted: `Each arrow: ${weight} × ${gradient} (${drawn}). ● pulls, × pushes.${note}`,
    average:
      "All arrows at the mean. Solid: their average; dashed: the exact gradient " +
      `(both drawn ${LENGTHENED} times as long).`,
    step: `Dashed: before the step. Solid: after it (mean + ${rate} × covariance × average).`,
  }[stage];
}

/** The sample nearest to a point of the plot, in figures; null if there is none near. */
export function sampleNear({ points, logProbs, scores, rewards, weights }, x, y) {
  let nearest = -1;
  let distance = 0.2;
  for (let k = 0; k < weights.length; k++) {
    const own = Math.hypot(points[2 * k] - x, points[2 * k + 1] - y);
    if (own < distance) [nearest, distance] = [k, own];
  }
  if (nearest < 0) return null;
  const pair = (values) => vector(values.subarray(2 * nearest, 2 * nearest + 2), 2);
  return (
    `x = ${pair(points)}: log p = ${signed(logProbs[nearest], 2)}, score ${pair(scores)}, ` +
    `reward ${signed(rewards[nearest], 2)}, weight ${signed(weights[nearest], 2)}`
  );
}

/** Everything the page computed, for `Save numbers`: flat arrays, as `experiment.js` has them. */
export function numbersOf(experiment, state) {
  const isGaussian = state.tab === "gaussian";
  const { chosen, none } = experiment;
  return {
    state,
    draws: Array.from(isGaussian ? experiment.points : experiment.moves),
    log_probs: Array.from(experiment.logProbs),
    scores: Array.from(experiment.scores),
    rewards: Array.from(experiment.rewards),
    weights: Array.from(experiment.weights),
    estimate: Array.from(experiment.estimate),
    expected_reward: experiment.expectedReward,
    exact_gradient: Array.from(experiment.exact),
    ...(isGaussian && {
      estimate_factor: experiment.estimateByFactor,
      exact_gradient_factor: experiment.exactByFactor,
    }),
    after: experiment.after,
    expected_reward_after: experiment.expectedRewardAfter,
    cloud: {
      draws: Array.from(isGaussian ? experiment.cloudPoints : experiment.cloudMoves),
      estimates: Array.from(chosen.estimates),
      mean: Array.from(chosen.mean),
      total_variance: chosen.variance,
      total_variance_none: none.variance,
      worth: Number.isFinite(experiment.worth) ? experiment.worth : null,
    },
  };
}
