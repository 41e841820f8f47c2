// The exact gradient: the expectation of a picture under a Gaussian, integrated, not sampled.
//
// Along each column of the picture the reward is a sum of steps, whose integrals against a normal
// density have a closed form. Across the columns the integrand is smooth between their edges and
// Gauss-Legendre nodes do the rest; the result is right to about ten digits.

import { CELLS, LIMIT } from "./reward.js";

const NODES = [-Math.sqrt(3 / 5), 0, Math.sqrt(3 / 5)];
const WEIGHTS = [5 / 18, 8 / 18, 5 / 18];
/** The integral stops at so many standard deviations; beyond lie 1e-15 of the probability. */
const REACH = 8;
/** Widest panel between nodes, standard deviations. */
const PANEL = 0.25;

/** Normal density. */
function density(z) {
  return Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
}

/** Upper tail P(Z > z), by the series of Marsaglia (2004) up to where doubles see nothing more. */
function upperTail(z) {
  if (Math.abs(z) > REACH) return z > 0 ? 0 : 1;
  let term = z;
  let sum = z;
  for (let k = 3; Math.abs(term) > 1e-17; k += 2) {
    term *= (z * z) / k;
    sum += term;
  }
  return 0.5 - sum * density(z);
}

// Cubic interpolation between tabulated tails (the slopes are known) is off by 4e-11 at most.
const STEP = 1 / 100;
const TAILS = Float64Array.from({ length: (2 * REACH) / STEP + 2 }, (_, k) => {
  return upperTail(k * STEP - REACH);
});

/** Upper tail and density at z, quickly. */
function tailAndDensity(z) {
  if (Math.abs(z) >= REACH) return [z > 0 ? 0 : 1, 0];
  const at = Math.floor((z + REACH) / STEP);
  const left = at * STEP - REACH;
  const t = (z - left) / STEP;
  const [from, to] = [TAILS[at], TAILS[at + 1]];
  const [fromSlope, toSlope] = [-density(left) * STEP, -density(left + STEP) * STEP];
  const tail =
    from +
    t * (fromSlope + t * (3 * (to - from) - 2 * fromSlope - toSlope + t * (2 * (from - to) + fromSlope + toSlope)));
  return [tail, density(z)];
}

/**
 * Where each column of a picture steps, from the bottom up.
 *
 * @param {Uint8Array} levels
 * @returns {{heights: number[], steps: number[]}[]} one for each column.
 */
export function columnSteps(levels) {
  return Array.from({ length: CELLS }, (_, column) => {
    const heights = [];
    const steps = [];
    let below = 0;
    for (let k = 0; k <= CELLS; k++) {
      const level = k < CELLS ? levels[(CELLS - 1 - k) * CELLS + column] : 0;
      if (level !== below) {
        heights.push((k / CELLS) * 2 * LIMIT - LIMIT);
        steps.push(level - below);
      }
      below = level;
    }
    return { heights, steps };
  });
}

/** Moments of the level along one column, given z₁: E[level · (1, z₂, z₂²)]. */
function columnMoments({ heights, steps }, middle, deviation) {
  let [zeroth, first, second] = [0, 0, 0];
  for (let k = 0; k < heights.length; k++) {
    const z = (heights[k] - middle) / deviation;
    const [tail, at] = tailAndDensity(z);
    zeroth += steps[k] * tail;
    first += steps[k] * at;
    second += steps[k] * (tail + z * at);
  }
  return [zeroth, first, second];
}

/**
 * Expected reward and its gradients.
 *
 * @param {{mean: number[], factor: number[]}} gaussian
 * @param {{columns: object[], shift: number, scale: number}} reward columns: of `columnSteps`.
 * @returns {{value: number, byMean: number[], byFactor: number[]}} E[f], ∇_μ E[f] per unit of the
 *     plot, and the lower triangle of ∂E[f] / ∂B at B = 0 for the factor L exp(B).
 */
export function exactGradient({ mean, factor }, { columns, shift, scale }) {
  const [l11, l21, l22] = factor;
  const moments = { one: 0, z1: 0, z2: 0, z1z1: 0, z1z2: 0, z2z2: 0 };
  const widest = PANEL * Math.min(1, l22 / Math.max(Math.abs(l21), 0.02 * l22));

  for (let column = 0; column < CELLS; column++) {
    if (columns[column].heights.length === 0) continue;
    const edges = [column, column + 1].map((k) => ((k / CELLS) * 2 * LIMIT - LIMIT - mean[0]) / l11);
    const low = Math.max(edges[0], -REACH);
    const high = Math.min(edges[1], REACH);
    if (low >= high) continue;

    // A column that is wide for this Gaussian is cut into panels.
    const panels = Math.ceil((high - low) / widest);
    const width = (high - low) / panels;
    for (let panel = 0; panel < panels; panel++) {
      for (let node = 0; node < 3; node++) {
        const z1 = low + width * (panel + 0.5 + NODES[node] / 2);
        const weight = WEIGHTS[node] * width * density(z1);
        const middle = mean[1] + l21 * z1;
        const [zeroth, first, second] = columnMoments(columns[column], middle, l22);
        moments.one += weight * zeroth;
        moments.z1 += weight * z1 * zeroth;
        moments.z2 += weight * first;
        moments.z1z1 += weight * z1 * z1 * zeroth;
        moments.z1z2 += weight * z1 * first;
        moments.z2z2 += weight * second;
      }
    }
  }

  // f is the lowest reward plus so much for every level, and E z = 0, E z z = 1.
  const perLevel = scale / 127.5;
  const byMean2 = (perLevel * moments.z2) / l22;
  return {
    value: shift - scale + perLevel * moments.one,
    byMean: [(perLevel * moments.z1 - l21 * byMean2) / l11, byMean2],
    byFactor: [
      perLevel * (moments.z1z1 - moments.one),
      perLevel * moments.z1z2,
      perLevel * (moments.z2z2 - moments.one),
    ],
  };
}
