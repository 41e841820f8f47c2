// The two-dimensional Gaussian: density, score, and moves in its own units.
//
// A Gaussian is {mean: [2], factor: [l11, l21, l22]}: the covariance is L Lᵀ, and a sample is
// x = μ + L z with z standard normal. Pairs lie flat in arrays: [x1, y1, x2, y2, …].

/** Points [2n] of noise [2n]: x = μ + L z. */
export function pointsOf({ mean, factor }, noise) {
  const [l11, l21, l22] = factor;
  const points = new Float64Array(noise.length);
  for (let k = 0; k < noise.length; k += 2) {
    points[k] = mean[0] + l11 * noise[k];
    points[k + 1] = mean[1] + l21 * noise[k] + l22 * noise[k + 1];
  }
  return points;
}

/** The noise [2n] behind points [2n]: z = L⁻¹ (x − μ). */
export function noiseOf({ mean, factor }, points) {
  const [l11, l21, l22] = factor;
  const noise = new Float64Array(points.length);
  for (let k = 0; k < points.length; k += 2) {
    noise[k] = (points[k] - mean[0]) / l11;
    noise[k + 1] = (points[k + 1] - mean[1] - l21 * noise[k]) / l22;
  }
  return noise;
}

/** Log-densities [n], nats, of the points behind noise [2n]. */
export function logProbsOf({ factor }, noise) {
  const constant = -Math.log(2 * Math.PI) - Math.log(factor[0] * factor[2]);
  const logProbs = new Float64Array(noise.length / 2);
  for (let k = 0; k < logProbs.length; k++) {
    logProbs[k] = constant - (noise[2 * k] ** 2 + noise[2 * k + 1] ** 2) / 2;
  }
  return logProbs;
}

/** Scores [2n], per unit of the plot: ∇_μ log p(x) = Σ⁻¹ (x − μ) = L⁻ᵀ z. */
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
 * A step uphill in the Gaussian's own units: μ + rate Σ g, and L exp(rate G).
 *
 * The exponential of a lower triangular matrix has a positive diagonal, so every step leads to a
 * covariance, and a step means the same for a wide Gaussian as for a narrow one.
 *
 * @param {{mean: number[], factor: number[]}} gaussian
 * @param {number[]} byMean the gradient g [2], per unit of the plot.
 * @param {number[]} byFactor the lower triangle of the gradient G [3]; zeros leave L as it is.
 * @param {number} rate steps per unit of reward.
 */
export function stepOf({ mean, factor }, byMean, byFactor, rate) {
  const [l11, l21, l22] = factor;
  const shift = [l11 * byMean[0] + l21 * byMean[1], l22 * byMean[1]];
  const [a, b, c] = byFactor.map((entry) => rate * entry);

  // exp [[a, 0], [b, c]] = [[eᵃ, 0], [b (eᵃ − eᶜ) / (a − c), eᶜ]]
  const lower = b * Math.exp(c) * (a === c ? 1 : Math.expm1(a - c) / (a - c));
  return {
    mean: [mean[0] + rate * l11 * shift[0], mean[1] + rate * (l21 * shift[0] + l22 * shift[1])],
    factor: [l11 * Math.exp(a), l21 * Math.exp(a) + l22 * lower, l22 * Math.exp(c)],
  };
}

/** Principal axes: standard deviations along them, and the angle of the first, radians. */
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

/** The factor [3] with these principal axes: the Cholesky factor of their covariance. */
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

/** What is wrong with a Gaussian, in words; nothing if it can be drawn and integrated. */
export function problemOf(gaussian) {
  const { mean, factor } = gaussian;
  const { deviations } = axesOf(gaussian);
  const [large, small] = deviations;
  if (![...mean, ...deviations].every(Number.isFinite)) return "it is not finite";
  if (!(factor[0] > 0 && factor[2] > 0)) return "the diagonal of the factor must be positive";
  if (Math.max(...mean.map(Math.abs)) > 20) return "the mean is too far away";
  if (small < SMALLEST_DEVIATION || large / small > LARGEST_RATIO) return "the covariance has collapsed";
  if (large > LARGEST_DEVIATION) return "the covariance is too wide";
  return "";
}
