// The two-dimensional Gaussian: density, score, and moves in its own units.
//
// The covariance is L Lᵀ, and a sample is x = μ + L z with z standard normal. Pairs lie flat in
// arrays: [x1, y1, x2, y2, …].

/**
 * @typedef {object} Gaussian
 * @property {number[]} mean [2], units of the plot.
 * @property {number[]} factor l11, l21, l22: the Cholesky factor L of the covariance.
 */

/**
 * Points [2n] of noise [2n]: x = μ + L z.
 *
 * @param {Gaussian} gaussian
 * @param {ArrayLike<number>} noise
 */
export function pointsOf({ mean, factor }, noise) {
  const [l11, l21, l22] = factor;
  const points = new Float64Array(noise.length);
  for (let k = 0; k < noise.length; k += 2) {
    points[k] = mean[0] + l11 * noise[k];
    points[k + 1] = mean[1] + l21 * noise[k] + l22 * noise[k + 1];
  }
  return points;
}

/**
 * The noise [2n] behind points [2n]: z = L⁻¹ (x − μ).
 *
 * @param {Gaussian} gaussian
 * @param {ArrayLike<number>} points
 */
export function noiseOf({ mean, factor }, points) {
  const [l11, l21, l22] = factor;
  const noise = new Float64Array(points.length);
  for (let k = 0; k < points.length; k += 2) {
    noise[k] = (points[k] - mean[0]) / l11;
    noise[k + 1] = (points[k + 1] - mean[1] - l21 * noise[k]) / l22;
  }
  return noise;
}

/**
 * Log-densities [n], nats, of the points behind noise [2n].
 *
 * @param {Gaussian} gaussian
 * @param {ArrayLike<number>} noise
 */
export function logProbsOf({ factor }, noise) {
  const constant = -Math.log(2 * Math.PI) - Math.log(factor[0] * factor[2]);
  const logProbs = new Float64Array(noise.length / 2);
  for (let k = 0; k < logProbs.length; k++) {
    logProbs[k] = constant - (noise[2 * k] ** 2 + noise[2 * k + 1] ** 2) / 2;
  }
  return logProbs;
}

/**
 * Scores [2n], per unit of the plot: ∇_μ log p(x) = Σ⁻¹ (x − μ) = L⁻ᵀ z.
 *
 * @param {Gaussian} gaussian
 * @param {ArrayLike<number>} noise
 */
export function scoresOf({ factor }, noise) {
  const [l11, l21, l22] = factor;
  const scores = new Float64Array(noise.length);
  for (let k = 0; k < noise.length; k += 2) {
    scores[k + 1] = noise[k + 1] / l22;
    scores[k] = (noise[k] - l21 * scores[k + 1]) / l11;
  }
  return scores;
}

/**
 * The average of weights [n] times the score of the factor, ∂ log p / ∂B at B = 0 for L exp(B).
 *
 * @param {ArrayLike<number>} noise [2n]
 * @param {ArrayLike<number>} weights [n]
 * @returns {number[]} of the entries 11, 21, 22: z₁² − 1, z₂ z₁, z₂² − 1.
 */
export function factorGradient(noise, weights) {
  const gradient = [0, 0, 0];
  for (let k = 0; k < weights.length; k++) {
    const [z1, z2] = [noise[2 * k], noise[2 * k + 1]];
    gradient[0] += weights[k] * (z1 * z1 - 1);
    gradient[1] += weights[k] * z2 * z1;
    gradient[2] += weights[k] * (z2 * z2 - 1);
  }
  return gradient.map((sum) => sum / weights.length);
}

/**
 * A step along the natural gradient: μ + rate Σ g, and Σ ← L exp(rate M) Lᵀ.
 *
 * M is symmetric, with the lower triangle of the gradient by the factor. The Fisher information of
 * B in L exp(B) is 2, 1, 2 for its entries: the natural gradient halves the diagonal of B, and
 * (1 + B) (1 + B)ᵀ is 1 + M to first order. The exponential of M is positive definite, so every
 * step leads to a covariance; it turns with the reward, and means the same for a wide Gaussian as
 * for a narrow one.
 *
 * @param {Gaussian} gaussian
 * @param {ArrayLike<number>} byMean the gradient g [2], per unit of the plot.
 * @param {number[]} byFactor the gradient by the factor [3]; zeros leave L as it is.
 * @param {number} rate steps per unit of reward.
 * @returns {Gaussian}
 */
export function stepOf({ mean, factor }, byMean, byFactor, rate) {
  const [l11, l21, l22] = factor;
  const shift = [l11 * byMean[0] + l21 * byMean[1], l22 * byMean[1]];
  const [c11, c21, c22] = exponentialFactor(byFactor.map((entry) => rate * entry));
  return {
    mean: [mean[0] + rate * l11 * shift[0], mean[1] + rate * (l21 * shift[0] + l22 * shift[1])],
    factor: [l11 * c11, l21 * c11 + l22 * c21, l22 * c22],
  };
}

/**
 * The Cholesky factor [3] of exp(M), for the symmetric M with this lower triangle [3].
 *
 * exp(M) = eᵐ (cosh r + (M − m) sinh r / r), with m the mean and m ± r the ends of the spectrum.
 *
 * @param {number[]} triangle
 */
function exponentialFactor([m11, m21, m22]) {
  const middle = (m11 + m22) / 2;
  const half = (m11 - m22) / 2;
  const radius = Math.hypot(half, m21);
  if (radius === 0) return [Math.exp(middle / 2), 0, Math.exp(middle / 2)];

  // The shares of eʳ and e⁻ʳ in the entry 11: no difference of near equals.
  const rest = m21 ** 2 / (radius * (radius + Math.abs(half)));
  const [up, down] = half > 0 ? [2 - rest, rest] : [rest, 2 - rest];
  const first = Math.sqrt((up * Math.exp(radius) + down * Math.exp(-radius)) / 2);
  const root = Math.exp(middle / 2);
  return [root * first, (root * m21 * Math.sinh(radius)) / (radius * first), root / first];
}

/**
 * Principal axes of a Gaussian.
 *
 * @typedef {object} Axes
 * @property {number[]} deviations [2], standard deviations along them.
 * @property {number} angle of the first, radians.
 */

/**
 * The principal axes, the longer first.
 *
 * @param {Pick<Gaussian, "factor">} gaussian
 * @returns {Axes}
 */
export function axesOf({ factor: [l11, l21, l22] }) {
  const xx = l11 * l11;
  const xy = l11 * l21;
  const yy = l21 * l21 + l22 * l22;
  const middle = (xx + yy) / 2;
  const radius = Math.hypot((xx - yy) / 2, xy);
  const angle = radius > 1e-12 * middle ? Math.atan2(2 * xy, xx - yy) / 2 : 0;
  const large = middle + radius;

  // The product of the two variances is the determinant: no difference of near equals.
  return { deviations: [Math.sqrt(large), (l11 * l22) / Math.sqrt(large)], angle };
}

/**
 * The factor [3] with these principal axes: the Cholesky factor of their covariance.
 *
 * @param {Axes} axes
 */
export function factorOf({ deviations: [first, second], angle }) {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const l11 = Math.hypot(first * cos, second * sin);
  const l21 = ((first * first - second * second) * cos * sin) / l11;
  return [l11, l21, (first * second) / l11];
}

/** Standard deviations, and their ratio, that can still be drawn and integrated. */
const SMALLEST_DEVIATION = 0.01;
const LARGEST_DEVIATION = 30;
const LARGEST_RATIO = 300;
/** No entry of a factor is larger: none exceeds the largest deviation, but by rounding. */
export const LARGEST_ENTRY = LARGEST_DEVIATION + 1;

/**
 * What is wrong with a Gaussian, in words; nothing if it can be drawn and integrated.
 *
 * @param {Gaussian} gaussian
 */
export function problemOf(gaussian) {
  const { mean, factor } = gaussian;
  const { deviations } = axesOf(gaussian);
  const [large, small] = deviations;
  if (![...mean, ...deviations].every(Number.isFinite)) return "it is not finite";
  if (!(factor[0] > 0 && factor[2] > 0)) return "the diagonal of the factor must be positive";
  if (Math.max(...mean.map(Math.abs)) > 20) return "the mean is too far away";
  if (small < SMALLEST_DEVIATION || large / small > LARGEST_RATIO)
    return "the covariance has collapsed";
  if (large > LARGEST_DEVIATION) return "the covariance is too wide";
  return "";
}
