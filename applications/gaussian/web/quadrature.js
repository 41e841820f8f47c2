// The exact gradient: the expectation of a picture under a Gaussian, integrated, not sampled.
//
// Along each column of the picture the reward is a sum of steps, whose integrals against a normal
// density have a closed form. Across the columns the integrand is smooth between their edges and
// Gauss-Legendre nodes do the rest; the result is right to eight digits.

import { CELLS, LIMIT } from "./reward.js";

/** @import { Gaussian } from "./normal.js" */

/** Gauss-Legendre rules on [−1, 1]: the narrower a panel, the fewer nodes do. */
const TWO_NODES = { nodes: [-Math.sqrt(1 / 3), Math.sqrt(1 / 3)], weights: [1 / 2, 1 / 2] };
const THREE_NODES = {
  nodes: [-Math.sqrt(3 / 5), 0, Math.sqrt(3 / 5)],
  weights: [5 / 18, 8 / 18, 5 / 18],
};
/** Widest panels of these rules, standard deviations. */
const NARROW_PANEL = 0.04;
const WIDE_PANEL = 0.25;
/** The integral stops at so many standard deviations; beyond lie 1e-15 of the probability. */
const REACH = 8;

/**
 * Normal density.
 *
 * @param {number} z
 */
function density(z) {
  return Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
}

/**
 * Upper tail P(Z > z), by the series of Marsaglia (2004); |z| up to REACH.
 *
 * @param {number} z
 */
function upperTail(z) {
  let term = z;
  let sum = z;
  for (let k = 3; Math.abs(term) > 1e-17; k += 2) {
    term *= (z * z) / k;
    sum += term;
  }
  return 0.5 - sum * density(z);
}

// Tails and densities are read from tables, by cubics through values and slopes: off by 1e-10.
const STEP = 1 / 100;
const TABLE_SIZE = (2 * REACH) / STEP + 1;
const TAILS = Float64Array.from({ length: TABLE_SIZE }, (_, k) => upperTail(k * STEP - REACH));
const DENSITIES = Float64Array.from({ length: TABLE_SIZE }, (_, k) => density(k * STEP - REACH));

/**
 * The cubic on [0, 1] with these values and slopes at its ends.
 *
 * @param {number} t
 * @param {number} from
 * @param {number} to
 * @param {number} fromSlope
 * @param {number} toSlope
 */
function cubic(t, from, to, fromSlope, toSlope) {
  const rise = to - from;
  const bend = 3 * rise - 2 * fromSlope - toSlope;
  return from + t * (fromSlope + t * (bend + t * (fromSlope + toSlope - 2 * rise)));
}

/**
 * Where one column of a picture steps, from the bottom up.
 *
 * @typedef {{heights: number[], steps: number[]}} Column
 */

/**
 * The steps of each column of a picture.
 *
 * @param {Uint8Array} levels
 * @returns {Column[]}
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

/**
 * Moments of the level along one column, given z₁: E[level · (1, z₂, z₂²)].
 *
 * A step at z adds its height times the upper tail Q(z), the density φ(z), and Q(z) + z φ(z).
 *
 * @param {Column} column of `columnSteps`.
 * @param {number} middle mean of x₂ given z₁.
 * @param {number} deviation of x₂ given z₁.
 * @param {Float64Array} moments [3], written to: this is called a hundred thousand times a second.
 */
function columnMoments({ heights, steps }, middle, deviation, moments) {
  moments.fill(0);
  for (let k = 0; k < heights.length; k++) {
    const z = (heights[k] - middle) / deviation;
    if (z >= REACH) continue;
    let [tail, own] = [1, 0];
    if (z > -REACH) {
      const at = Math.min(Math.floor((z + REACH) / STEP), TABLE_SIZE - 2);
      const left = at * STEP - REACH;
      const t = (z - left) / STEP;
      const [from, to] = [DENSITIES[at], DENSITIES[at + 1]];
      tail = cubic(t, TAILS[at], TAILS[at + 1], -STEP * from, -STEP * to);
      own = cubic(t, from, to, -STEP * left * from, -STEP * (left + STEP) * to);
    }
    moments[0] += steps[k] * tail;
    moments[1] += steps[k] * own;
    moments[2] += steps[k] * (tail + z * own);
  }
}

/**
 * Expected reward and its gradients.
 *
 * @typedef {object} Integral
 * @property {number} value E[f].
 * @property {number[]} byMean ∇_μ E[f], per unit of the plot.
 * @property {number[]} byFactor the lower triangle of ∂E[f] / ∂B at B = 0 for the factor L exp(B).
 */

/**
 * Moments of the level over the plane: E[level · (1, z₁, z₂, z₁², z₁ z₂, z₂²)].
 *
 * @typedef {Record<"one" | "z1" | "z2" | "z1z1" | "z1z2" | "z2z2", number>} Moments
 */

/** Those of one column given z₁, written anew at each node. */
const along = new Float64Array(3);

/**
 * Add the part of one column; a column that is wide for this Gaussian is cut into panels.
 *
 * @param {Moments} moments added to.
 * @param {Column} column
 * @param {number} low z₁ at its left edge.
 * @param {number} high z₁ at its right edge.
 * @param {Gaussian} gaussian
 */
function addColumn(moments, column, low, high, { mean, factor }) {
  const [, l21, l22] = factor;
  const steepness = Math.max(1, Math.abs(l21) / l22); // of x₂ in z₁, in its own deviations
  const isNarrow = (high - low) * steepness <= NARROW_PANEL;
  const { nodes, weights } = isNarrow ? TWO_NODES : THREE_NODES;
  const panels = Math.ceil(((high - low) * steepness) / WIDE_PANEL);
  const width = (high - low) / panels;
  for (let panel = 0; panel < panels; panel++) {
    for (let node = 0; node < nodes.length; node++) {
      const z1 = low + width * (panel + 0.5 + nodes[node] / 2);
      const weight = weights[node] * width * density(z1);
      columnMoments(column, mean[1] + l21 * z1, l22, along);
      const [zeroth, first, second] = along;
      moments.one += weight * zeroth;
      moments.z1 += weight * z1 * zeroth;
      moments.z2 += weight * first;
      moments.z1z1 += weight * z1 * z1 * zeroth;
      moments.z1z2 += weight * z1 * first;
      moments.z2z2 += weight * second;
    }
  }
}

/**
 * Integrate a picture.
 *
 * @param {Gaussian} gaussian
 * @param {{columns: Column[], shift: number, scale: number}} reward
 * @returns {Integral}
 */
export function exactGradient({ mean, factor }, { columns, shift, scale }) {
  const [l11, l21, l22] = factor;
  const moments = { one: 0, z1: 0, z2: 0, z1z1: 0, z1z2: 0, z2z2: 0 };
  for (let k = 0; k < CELLS; k++) {
    if (columns[k].heights.length === 0) continue;
    const [left, right] = [k, k + 1].map((e) => ((e / CELLS) * 2 * LIMIT - LIMIT - mean[0]) / l11);
    const low = Math.max(left, -REACH);
    const high = Math.min(right, REACH);
    if (low < high) addColumn(moments, columns[k], low, high, { mean, factor });
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
