// The score function estimator: weights times scores, averaged. It knows no distribution.
//
// Scores lie flat, [n · D]: D numbers for each of n draws.

/** How much of its past a moving average keeps at each update. */
const DECAY = 0.99;
/** Variances below this, over the square of the largest reward, are rounding. */
const ROUNDING = 1e-24;
/** A range reaches so many standard errors to both sides: it covers the truth in 19 of 20 cases. */
const RANGE = 1.96;

/** The baselines of an estimate. */
export const BASELINES = ["none", "constant", "moving-average", "leave-one-out", "standardized"];

/**
 * What rewards are compared with.
 *
 * @typedef {object} Comparison
 * @property {string} baseline one of BASELINES, or "best": the constant of the least variance.
 * @property {number} constant what "constant" subtracts.
 * @property {number[]} average [sum, mass] of the moving average, which reads 0 when it is empty.
 * @property {number} [best] what "best" subtracts.
 */

/**
 * The moving average [sum, mass] after one more update; it is read before it is updated.
 *
 * @param {number[]} average
 * @param {number} mean of the rewards.
 */
export function updatedAverage([sum, mass], mean) {
  return [DECAY * sum + (1 - DECAY) * mean, DECAY * mass + (1 - DECAY)];
}

/**
 * The number that a moving average subtracts.
 *
 * @param {number[]} average [sum, mass]
 */
export function readAverage([sum, mass]) {
  return mass > 0 ? sum / mass : 0;
}

/**
 * What each score is multiplied by: its reward minus the baseline.
 *
 * @param {Float64Array} rewards [n]
 * @param {Comparison} comparison
 * @returns {Float64Array} [n]
 */
export function weightsOf(rewards, comparison) {
  const mean = meanOf(rewards);
  const squares = rewards.reduce((sum, reward) => sum + (reward - mean) ** 2, 0);
  const { offset, factor } = lineOf(comparison, mean, squares, rewards.length);
  return rewards.map((reward) => (reward - offset) * factor);
}

/**
 * Whatever the baseline, a weight is (reward − offset) · factor, with two numbers for all draws.
 *
 * @param {Comparison} comparison
 * @param {number} mean of the rewards.
 * @param {number} squares the sum of the squares of rewards − mean.
 * @param {number} count of the rewards.
 */
function lineOf({ baseline, constant, average, best = 0 }, mean, squares, count) {
  if (baseline === "constant") return { offset: constant, factor: 1 };
  if (baseline === "best") return { offset: best, factor: 1 };
  if (baseline === "moving-average") return { offset: readAverage(average), factor: 1 };

  // f − (n m − f) / (n − 1) = (f − m) n / (n − 1), with m the mean of all n.
  if (baseline === "leave-one-out") return { offset: mean, factor: count / (count - 1) };

  // Biased: the mean and the deviation depend on the very draw that they judge.
  if (baseline === "standardized") {
    return { offset: mean, factor: 1 / (Math.sqrt(squares / count) + 1e-8) };
  }
  return { offset: 0, factor: 1 };
}

/**
 * The average [D] of weights [n] times scores [n · D].
 *
 * @param {ArrayLike<number>} scores
 * @param {ArrayLike<number>} weights
 * @param {number} dimensions D
 */
export function average(scores, weights, dimensions) {
  const sum = new Float64Array(dimensions);
  for (let k = 0; k < weights.length; k++) {
    for (let d = 0; d < dimensions; d++) sum[d] += weights[k] * scores[k * dimensions + d];
  }
  return sum.map((total) => total / weights.length);
}

/**
 * Repeated draws, summed up so far that every baseline can be read off.
 *
 * @typedef {object} Repeats
 * @property {number} count n, the draws of one estimate.
 * @property {number} dimensions D
 * @property {Float64Array} means [R] of the rewards of each.
 * @property {Float64Array} squares [R], the sums of the squares of rewards − mean.
 * @property {Float64Array} pulls [R · D], the averages of (reward − mean) × score.
 * @property {Float64Array} scores [R · D], the averages of the scores.
 * @property {number} negligible a variance below it is that of rounding.
 */

/**
 * Sum up repeated draws.
 *
 * @param {Float64Array} scores [R · n · D]
 * @param {Float64Array} rewards [R · n]
 * @param {number} repeats R
 * @param {number} dimensions D
 * @returns {Repeats}
 */
export function repeatsOf(scores, rewards, repeats, dimensions) {
  const count = rewards.length / repeats;
  const means = new Float64Array(repeats);
  const squares = new Float64Array(repeats);
  const pulls = new Float64Array(repeats * dimensions);
  const averages = new Float64Array(repeats * dimensions);
  let largest = 0;
  for (let repeat = 0; repeat < repeats; repeat++) {
    const [from, to] = [repeat * count, (repeat + 1) * count];
    const mean = meanOf(rewards, from, to);
    means[repeat] = mean;
    for (let k = from; k < to; k++) {
      const own = rewards[k] - mean;
      squares[repeat] += own * own;
      largest = Math.max(largest, Math.abs(rewards[k]));
      for (let d = 0; d < dimensions; d++) {
        const score = scores[k * dimensions + d] / count;
        pulls[repeat * dimensions + d] += own * score;
        averages[repeat * dimensions + d] += score;
      }
    }
  }
  const negligible = ROUNDING * largest ** 2;
  return { count, dimensions, means, squares, pulls, scores: averages, negligible };
}

/**
 * The estimates [R · D] that repeated draws give with a baseline, the same for all of them.
 *
 * @param {Repeats} repeats
 * @param {Comparison} comparison
 */
export function estimatesOf(repeats, comparison) {
  const { count, dimensions, means, squares, pulls, scores } = repeats;
  return pulls.map((pull, k) => {
    const repeat = Math.floor(k / dimensions);
    const mean = means[repeat];
    const { offset, factor } = lineOf(comparison, mean, squares[repeat], count);
    return factor * (pull + (mean - offset) * scores[k]);
  });
}

/**
 * How estimates scatter.
 *
 * @typedef {object} Scatter
 * @property {Float64Array} estimates [R · D]
 * @property {Float64Array} mean [D]
 * @property {number} variance of one estimate, summed over the D components.
 * @property {number} standardErrorsOff how many standard errors the mean is off the truth, in the
 *     component where it is most.
 * @property {boolean} varies whether any two estimates differ by more than rounding.
 * @property {number[]} squares [R] of the distances from the mean.
 */

/**
 * Sum up how estimates scatter.
 *
 * @param {Float64Array} estimates [R · D]
 * @param {ArrayLike<number>} truth [D]
 * @param {number} negligible a variance below it is that of rounding, and counts as none.
 * @returns {Scatter}
 */
export function scatterOf(estimates, truth, negligible) {
  const dimensions = truth.length;
  const repeats = estimates.length / dimensions;
  const mean = average(estimates, new Float64Array(repeats).fill(1), dimensions);
  const squares = new Array(repeats).fill(0);
  let variance = 0;
  let worst = 0;
  for (let d = 0; d < dimensions; d++) {
    const distances = squares.map((_, k) => (estimates[k * dimensions + d] - mean[d]) ** 2);
    const own = distances.reduce((sum, square) => sum + square, 0) / (repeats - 1);
    if (own < negligible) continue;
    variance += own;
    worst = Math.max(worst, Math.abs(mean[d] - truth[d]) / Math.sqrt(own / repeats));
    for (let k = 0; k < repeats; k++) squares[k] += distances[k];
  }
  return { estimates, mean, variance, standardErrorsOff: worst, varies: variance > 0, squares };
}

/**
 * A number and the range that covers the truth in 19 of 20 cases.
 *
 * @typedef {{value: number, low: number, high: number}} Range
 */

/**
 * How many samples without a baseline scatter as little: n times a ratio of variances.
 *
 * The logarithm of the ratio has the standard error of the mean of a_r / A − b_r / B, where a_r and
 * b_r are the squared distances of the two estimates from the same draws, and A and B their means.
 *
 * @param {number} count n
 * @param {Scatter} none without a baseline.
 * @param {Scatter} own with one, from the same draws.
 * @returns {Range} infinite where the own estimates do not vary.
 */
export function worthOf(count, none, own) {
  const value = own.varies ? count * (none.variance / own.variance) : Infinity;
  if (!own.varies || !none.varies) return { value, low: value, high: value };
  const repeats = own.squares.length;
  const shares = own.squares.map(
    (square, k) => none.squares[k] / none.variance - square / own.variance,
  );
  const squares = shares.reduce((sum, share) => sum + share ** 2, 0);
  const spread = Math.exp((RANGE * Math.sqrt(squares / (repeats - 1))) / Math.sqrt(repeats));
  return { value, low: value / spread, high: value * spread };
}

/**
 * The mean of numbers, of all or of a range; of equal numbers it is that number exactly.
 *
 * @param {ArrayLike<number>} numbers
 * @param {number} [from]
 * @param {number} [to]
 */
export function meanOf(numbers, from = 0, to = numbers.length) {
  const first = numbers[from];
  let sum = 0;
  for (let k = from; k < to; k++) sum += numbers[k] - first;
  return first + sum / (to - from);
}
