// From scores and rewards to an estimate, and how it scatters: what every distribution shares.

import {
  average,
  estimatesOf,
  meanOf,
  repeatsOf,
  scatterOf,
  updatedAverage,
  weightsOf,
  worthOf,
} from "./estimator.js";

/** @import { Comparison, Range, Repeats, Scatter } from "./estimator.js" */
/** @import { State } from "./state.js" */

/** Repeated estimates in the cloud. */
export const REPEATS = 200;
/** What the random numbers of one seed are for. */
export const STREAMS = { draws: 1, cloud: 2 };

/**
 * Draws with what is known of each.
 *
 * @typedef {object} Draws
 * @property {Float64Array} logProbs [n], nats.
 * @property {Float64Array} scores [n · D]
 * @property {Float64Array} rewards [n]
 */

/**
 * Draws of the cloud, `REPEATS` times as many.
 *
 * @typedef {object} CloudDraws
 * @property {Float64Array | null} logProbs [R · n], or null where they are not needed.
 * @property {Float64Array} scores [R · n · D], or a linear function of them.
 * @property {Float64Array} rewards [R · n]
 * @property {(averages: Float64Array) => Float64Array} toGradients the way back from that function.
 */

/**
 * The exact answer.
 *
 * @typedef {object} Truth
 * @property {number} value the expected reward.
 * @property {ArrayLike<number>} gradient [D] of it.
 * @property {number} best the constant baseline of the least variance: the reward, weighted by the
 *     squared length of the score.
 * @property {number} slope length of the gradient in the distribution's own units.
 */

/**
 * One estimate.
 *
 * @typedef {object} Estimate
 * @property {number} dimensions D
 * @property {Float64Array} weights [n], reward minus baseline.
 * @property {{score: Float64Array, weighted: Float64Array}} factors [n], what each score is
 *     multiplied by where it is drawn: alone, and weighted.
 * @property {Float64Array} estimate [D]
 * @property {number[]} nextAverage the moving average after this estimate.
 */

/**
 * How such estimates scatter around the truth.
 *
 * @typedef {object} Noise
 * @property {ArrayLike<number>} exact [D], the gradient.
 * @property {number} expectedReward
 * @property {number} best of `Truth`.
 * @property {number} slope of `Truth`.
 * @property {(baseline: string) => Scatter} scatter with any baseline, from the draws of the cloud.
 * @property {(baseline: string) => Range} worthWith of any baseline.
 * @property {Scatter} none without a baseline.
 * @property {Scatter} chosen with the baseline of the state.
 * @property {Range} worth of the chosen one.
 * @property {Range | null} settled what a moving average will be worth once it has settled.
 */

/** @typedef {Draws & Estimate} Estimated */
/** @typedef {Estimated & Noise} Study */

/**
 * The estimate that draws give.
 *
 * @param {State} state
 * @param {Draws} draws
 * @returns {Estimated}
 */
export function estimated(state, draws) {
  const weights = weightsOf(draws.rewards, state);
  const dimensions = draws.scores.length / weights.length;
  const factors = {
    score: usedWeights(state, new Float64Array(weights.length).fill(1), draws.logProbs),
    weighted: usedWeights(state, weights, draws.logProbs),
  };
  return {
    ...draws,
    dimensions,
    weights,
    factors,
    estimate: average(draws.scores, factors.weighted, dimensions),
    nextAverage: updatedAverage(state.average, meanOf(draws.rewards)),
  };
}

/**
 * Repeat an estimate with draws of its own, and see how it scatters.
 *
 * The repetitions use the baseline that this estimate uses: the moving average is the one that has
 * been reached. All baselines see the same draws, so that what differs is the baseline.
 *
 * @param {State} state
 * @param {CloudDraws} cloud
 * @param {Truth} truth
 * @returns {Noise}
 */
export function noiseAround(state, cloud, truth) {
  const { value, gradient, best, slope } = truth;
  const repeats = repeatsOf(usedScores(state, cloud), cloud.rewards, REPEATS, gradient.length);
  const scatter = scatters(state, repeats, cloud, truth);
  const none = scatter("none");
  const worthWith = (/** @type {string} */ name) => worthOf(state.samples, none, scatter(name));
  return {
    exact: gradient,
    expectedReward: value,
    best,
    slope,
    scatter,
    worthWith,
    none,
    chosen: scatter(state.baseline),
    worth: worthWith(state.baseline),
    settled: state.baseline === "moving-average" ? worthWith("settled") : null,
  };
}

/**
 * The scatter of any baseline; "settled" is a moving average that has reached the expected reward.
 *
 * @param {State} state
 * @param {Repeats} repeats
 * @param {CloudDraws} cloud
 * @param {Truth} truth
 */
function scatters(state, repeats, cloud, truth) {
  /** @type {Map<string, Scatter>} */
  const known = new Map();
  return (/** @type {string} */ baseline) => {
    const isSettled = baseline === "settled";
    const comparison = {
      baseline: isSettled ? "constant" : baseline,
      constant: isSettled ? truth.value : state.constant,
      average: state.average,
      best: truth.best,
    };
    const scatter =
      known.get(baseline) ??
      scatterOf(
        cloud.toGradients(estimatesOf(repeats, comparison)),
        truth.gradient,
        repeats.negligible,
      );
    known.set(baseline, scatter);
    return scatter;
  };
}

/**
 * Averaging ∇p instead of ∇ log p = ∇p / p: every weight is multiplied by the density.
 *
 * @param {State} state
 * @param {Float64Array} weights [n]
 * @param {Float64Array} logProbs [n]
 */
function usedWeights(state, weights, logProbs) {
  if (state.gradient === "log-density") return weights;
  return weights.map((weight, k) => weight * Math.exp(logProbs[k]));
}

/**
 * The scores of the cloud, or those of ∇p.
 *
 * @param {State} state
 * @param {CloudDraws} cloud
 */
function usedScores(state, { scores, logProbs }) {
  if (state.gradient === "log-density" || !logProbs) return scores;
  const dimensions = scores.length / logProbs.length;
  return scores.map((score, k) => score * Math.exp(logProbs[Math.floor(k / dimensions)]));
}
