// The score function estimator: weights times scores, averaged. It knows no distribution.
//
// Scores lie flat, [n · D]: D numbers for each of n draws.

/** How much of its past a moving average keeps at each update. */
const DECAY = 0.99;

export const BASELINES = ["none", "constant", "moving-average", "leave-one-out", "standardized"];

/** The moving average [sum, mass] after one more update; it is read before it is updated. */
export function updatedAverage([average, mass], mean) {
  return [DECAY * average + (1 - DECAY) * mean, DECAY * mass + (1 - DECAY)];
}

/**
 * What each score is multiplied by: its reward minus the baseline.
 *
 * @param {Float64Array} rewards [n]
 * @param {object} settings {baseline, constant, average}: the name, one of BASELINES; what
 *     "constant" subtracts; [sum, mass] of the moving average, which reads 0 before its first update.
 * @returns {Float64Array} [n]
 */
export function weightsOf(rewards, settings) {
  const { offset, factor } = comparison(rewards, 0, rewards.length, settings);
  return rewards.map((reward) => (reward - offset) * factor);
}

/** Whatever the baseline, a weight is (reward − offset) · factor, with two numbers for all draws. */
function comparison(rewards, from, to, { baseline, constant, average }) {
  if (baseline === "constant") return { offset: constant, factor: 1 };
  if (baseline === "moving-average") {
    return { offset: average[1] > 0 ? average[0] / average[1] : 0, factor: 1 };
  }
  if (baseline === "leave-one-out") {
    // f − (n m − f) / (n − 1) = (f − m) n / (n − 1), with m the mean of all n.
    return { offset: meanOf(rewards, from, to), factor: (to - from) / (to - from - 1) };
  }
  if (baseline === "standardized") {
    // Biased: the mean and the deviation depend on the very draw that they judge.
    const mean = meanOf(rewards, from, to);
    let squares = 0;
    for (let k = from; k < to; k++) squares += (rewards[k] - mean) ** 2;
    return { offset: mean, factor: 1 / (Math.sqrt(squares / (to - from)) + 1e-8) };
  }
  return { offset: 0, factor: 1 };
}

/** The average [D] of weights [n] times scores [n · D]. */
export function average(scores, weights, dimensions) {
  const sum = new Float64Array(dimensions);
  for (let k = 0; k < weights.length; k++) {
    for (let d = 0; d < dimensions; d++) sum[d] += weights[k] * scores[k * dimensions + d];
  }
  return sum.map((total) => total / weights.length);
}

/**
 * Repeated estimates, each from draws of its own.
 *
 * @param {Float64Array} scores [repeats · n · D]
 * @param {Float64Array} rewards [repeats · n]
 * @param {number} repeats
 * @param {number} dimensions D
 * @param {object} settings of `weightsOf`. A moving average goes through the estimates in sequence:
 *     each sees the average of those before it, and the first sees nothing.
 * @returns {Float64Array} [repeats · D]
 */
export function repeatedEstimates(scores, rewards, repeats, dimensions, settings) {
  const count = rewards.length / repeats;
  const estimates = new Float64Array(repeats * dimensions);
  let past = [0, 0];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const [from, to] = [repeat * count, (repeat + 1) * count];
    const { offset, factor } = comparison(rewards, from, to, { ...settings, average: past });
    for (let k = from; k < to; k++) {
      const weight = ((rewards[k] - offset) * factor) / count;
      for (let d = 0; d < dimensions; d++) {
        estimates[repeat * dimensions + d] += weight * scores[k * dimensions + d];
      }
    }
    past = updatedAverage(past, meanOf(rewards, from, to));
  }
  return estimates;
}

/**
 * Mean [D], total variance of one, and how many standard errors the mean is off the truth [D].
 *
 * A variance below `negligible` is that of rounding, and counts as none.
 */
export function summaryOf(estimates, truth, negligible) {
  const dimensions = truth.length;
  const repeats = estimates.length / dimensions;
  const mean = average(estimates, new Float64Array(repeats).fill(1), dimensions);
  let variance = 0;
  let worst = 0;
  for (let d = 0; d < dimensions; d++) {
    let squares = 0;
    for (let k = d; k < estimates.length; k += dimensions) squares += (estimates[k] - mean[d]) ** 2;
    const own = squares / (repeats - 1);
    if (own < negligible) continue;
    variance += own;
    worst = Math.max(worst, Math.abs(mean[d] - truth[d]) / Math.sqrt(own / repeats));
  }
  return { mean, variance, standardErrorsOff: worst };
}

/** The mean of numbers, of all or of a range; of equal numbers it is that number exactly. */
export function meanOf(numbers, from = 0, to = numbers.length) {
  const first = numbers[from];
  let sum = 0;
  for (let k = from; k < to; k++) sum += numbers[k] - first;
  return first + sum / (to - from);
}
