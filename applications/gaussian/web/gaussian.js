// The Gaussian as the page has it: its experiment, its step, its captions.

import { arrowFactors, lengthOf } from "./arrows.js";
import { sampleAt } from "./hover.js";
import {
  factorGradient,
  logProbsOf,
  noiseOf,
  pointsOf,
  problemOf,
  scoresOf,
  stepOf,
} from "./normal.js";
import { size, vector } from "./numbers.js";
import { exactGradient } from "./quadrature.js";
import { normals } from "./random.js";
import { rewardsOf } from "./reward.js";
import { emptyNote, sampleSentence, strangerSentence, weightName } from "./sentences.js";
import { estimated, noiseAround, REPEATS, STREAMS } from "./study.js";

/** @import { Distribution, GaussianEstimate, GaussianExperiment, Picture } from "./experiment.js" */
/** @import { Gaussian } from "./normal.js" */
/** @import { Integral } from "./quadrature.js" */
/** @import { State } from "./state.js" */
/** @import { Truth } from "./study.js" */

/** @type {Distribution<GaussianEstimate, GaussianExperiment>} */
export const GAUSSIAN = {
  estimate: gaussianEstimate,
  experiment: gaussianExperiment,
  value: (state, picture) => exactGradient(state, rewardFrom(state, picture)).value,
  problem: ({ after }) => problemOf(after),
  place: ({ after }) => ({ mean: after.mean, factor: after.factor }),
  caption: gaussianCaption,
  placeSentence: (state) => `Mean ${vector(state.mean, 2)}. `,
  sampleAt,
  sampleSentence,
  drawName: ({ points }, sample) => vector(points.subarray(2 * sample, 2 * sample + 2), 1),
  numbers: ({ estimateByFactor, exactByFactor, cloudPoints }) => ({
    estimate_factor: estimateByFactor,
    exact_gradient_factor: exactByFactor,
    cloud_draws: Array.from(cloudPoints),
  }),
  draws: ({ points }) => Array.from(points),
};

/**
 * The reward of a state.
 *
 * @param {State} state
 * @param {Picture} picture
 */
function rewardFrom({ shift, scale }, picture) {
  return { ...picture, shift, scale };
}

/**
 * One estimate, and the step along it.
 *
 * @param {State} state
 * @param {Picture} picture
 * @returns {GaussianEstimate}
 */
function gaussianEstimate(state, picture) {
  const gaussian = { mean: state.mean, factor: state.factor };
  const given = state.draws && Float64Array.from(state.draws);
  const noise = given
    ? noiseOf(gaussian, given)
    : normals(state.seed, STREAMS.draws, 2 * state.samples);
  const points = given ?? pointsOf(gaussian, noise);
  const own = estimated(state, {
    logProbs: logProbsOf(gaussian, noise),
    scores: scoresOf(gaussian, noise),
    rewards: rewardsOf(rewardFrom(state, picture), points),
  });
  const byFactor = factorGradient(noise, own.factors.weighted);
  const bend = state.covariance ? byFactor : [0, 0, 0];
  return {
    ...own,
    tab: "gaussian",
    noise,
    points,
    before: gaussian,
    estimateByFactor: byFactor,
    after: stepOf(gaussian, own.estimate, bend, state.rate),
  };
}

/**
 * The estimate, its noise, and the truth.
 *
 * @param {State} state
 * @param {Picture} picture
 * @returns {GaussianExperiment}
 */
function gaussianExperiment(state, picture) {
  const own = gaussianEstimate(state, picture);
  const { before, after } = own;
  const reward = rewardFrom(state, picture);

  // A score is a linear function of the noise, so that it is enough to average the noise of the
  // cloud, and to take the scores of the averages.
  const noise = cachedNormals(state.seed, 2 * REPEATS * state.samples);
  const points = pointsOf(before, noise);
  const cloud = {
    scores: noise,
    rewards: rewardsOf(reward, points),
    logProbs: state.gradient === "density" ? logProbsOf(before, noise) : null,
    toGradients: (/** @type {Float64Array} */ averages) => scoresOf(before, averages),
  };
  const integral = exactGradient(before, reward);
  return {
    ...own,
    ...noiseAround(state, cloud, truthOf(before, integral)),
    exactByFactor: integral.byFactor,
    expectedRewardAfter: problemOf(after) ? NaN : exactGradient(after, reward).value,
    cloudPoints: points,
  };
}

/**
 * What the integral says of the estimates.
 *
 * With W = L⁻¹ L⁻ᵀ a squared score is zᵀ W z, so that E[f zᵀ W z] / E[zᵀ W z] is the best constant.
 *
 * @param {Gaussian} gaussian
 * @param {Integral} integral
 * @returns {Truth}
 */
function truthOf(gaussian, { value, byMean, byFactor }) {
  const [l11, l21, l22] = gaussian.factor;
  const w11 = 1 / l11 ** 2 + (l21 / (l11 * l22)) ** 2;
  const w21 = -l21 / (l11 * l22 ** 2);
  const w22 = 1 / l22 ** 2;
  const excess = w11 * byFactor[0] + 2 * w21 * byFactor[1] + w22 * byFactor[2];
  return {
    value,
    gradient: byMean,
    best: value + excess / (w11 + w22),
    slope: Math.hypot(l11 * byMean[0] + l21 * byMean[1], l22 * byMean[1]),
  };
}

/** @type {{seed: number, numbers: Float64Array}} */
let cached = { seed: NaN, numbers: new Float64Array(0) };

/**
 * The cloud's noise, kept from one frame to the next: dragging changes the Gaussian, not the seed.
 *
 * @param {number} seed
 * @param {number} count
 */
function cachedNormals(seed, count) {
  if (cached.seed !== seed || cached.numbers.length !== count) {
    cached = { seed, numbers: normals(seed, STREAMS.cloud, count) };
  }
  return cached.numbers;
}

/**
 * What the picture shows, in a sentence under it.
 *
 * @param {GaussianExperiment} experiment
 * @param {State} state
 * @param {string} stage
 */
function gaussianCaption(experiment, state, stage) {
  const { scale } = arrowFactors(experiment.factors, stage);
  const drawn = `drawn at ${size(scale)} ${scale > 1 ? "times" : "of"} its length`;
  const gradient = state.gradient === "density" ? "∇p" : "score";
  const weight = weightName(state);
  const rate = size(state.rate);
  const stranger = strangerSentence(experiment, state);
  if (stranger) return stranger;
  if (stage === "scores") {
    return `Each arrow: which way to move the mean to make its sample more likely (${gradient}, ${drawn}).`;
  }
  if (stage === "weighted") {
    return `Each arrow: ${weight} × ${gradient} (${drawn}). ● pulls, × pushes.${emptyNote(state)}`;
  }
  if (stage === "average") {
    return (
      `All arrows at the mean, each ${drawn}. Solid: their average; ` +
      `dashed: the exact gradient (both drawn at ${lengthOf(experiment)} times their length).`
    );
  }
  const covariance = state.covariance
    ? `; L Lᵀ → L exp(${rate} M) Lᵀ, M the average of ${weight} × (z zᵀ − I), x = mean + L z`
    : "";
  return `Dashed: before the step. Solid: after it (mean + ${rate} × covariance × average${covariance}).`;
}
