// The score function estimator: weights times scores, averaged. It knows no distribution.
//
// Scores lie flat, [n · D]: D numbers for each of n draws.

/** How much of its past a moving average keeps at each update. */
const DECAY = 0.99;

export const BASELINES = ["none", "constant", "moving-average", "leave-one-out", "standardized"];

/** The moving average [sum, mass] after one more update; it is read before it is updated. */
export function updatedAverage([average, mass], rewards) {
  const mean = meanOf(rewards);
  return [DECAY * average + (1 - DECAY) * mean, DECAY * mass + (1 - DECAY)];
}

/**
 * What each score is multiplied by: its reward minus the baseline.
 *
 * @param {Float64Array} rewards [n]
 * @param {string} baseline one of BASELINES; "standardized" also divides by the deviation, which
 *     is biased: mean and deviation depend on the draw itself.
 * @param {number} constant what "constant" subtracts.
 * @param {number[]} average [sum, mass] of the moving average; it reads 0 before its first update.
 * @returns {Float64Array} [n]
 */
export function weightsOf(rewards, baseline, constant, average) {
  if (baseline === "constant") return rewards.map((reward) => reward - constant);
  if (baseline === "moving-average") {
    const past = average[1] > 0 ? average[0] / average[1] : 0;
    return rewards.map((reward) => reward - past);
  }
  if (baseline === "leave-one-out") {
    const count = rewards.length;
    const sum = meanOf(rewards) * count;
    return rewards.map((reward) => reward - (sum - reward) / (count - 1));
  }
  if (baseline === "standardized") {
    const mean = meanOf(rewards);
    const deviation = Math.sqrt(meanOf(rewards.map((reward) => (reward - mean) ** 2)));
    return rewards.map((reward) => (reward - mean) / (deviation + 1e-8));
  }
  return rewards.slice();
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
 * @param {string} baseline of `weightsOf`. A moving average goes through the estimates in sequence:
 *     each sees the average of those before it, and the first sees nothing.
 * @param {number} constant of `weightsOf`.
 * @returns {Float64Array} [repeats · D]
 */
export function repeatedEstimates(scores, rewards, repeats, dimensions, baseline, constant) {
  const count = rewards.length / repeats;
  const estimates = new Float64Array(repeats * dimensions);
  let past = [0, 0];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const own = rewards.subarray(repeat * count, (repeat + 1) * count);
    const weights = weightsOf(own, baseline, constant, past);
    const from = repeat * count * dimensions;
    const ownScores = scores.subarray(from, from + count * dimensions);
    estimates.set(average(ownScores, weights, dimensions), repeat * dimensions);
    past = updatedAverage(past, own);
  }
  return estimates;
}

/** Mean [D], total variance of one, and how many standard errors the mean is off the truth [D]. */
export function summaryOf(estimates, truth) {
  const dimensions = truth.length;
  const repeats = estimates.length / dimensions;
  const mean = average(estimates, new Float64Array(repeats).fill(1), dimensions);
  let variance = 0;
  let worst = 0;
  for (let d = 0; d < dimensions; d++) {
    let squares = 0;
    for (let k = d; k < estimates.length; k += dimensions) squares += (estimates[k] - mean[d]) ** 2;
    const own = squares / (repeats - 1);
    variance += own;
    if (own > 0) worst = Math.max(worst, Math.abs(mean[d] - truth[d]) / Math.sqrt(own / repeats));
  }
  return { mean, variance, standardErrorsOff: worst };
}

/** The mean of numbers. */
export function meanOf(numbers) {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum / numbers.length;
}
