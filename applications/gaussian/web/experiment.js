// What a state shows: draws, their scores and rewards, the estimate, the truth, the step.

import { average, meanOf, repeatedEstimates, summaryOf, updatedAverage, weightsOf } from "./estimator.js";
import { factorGradient, logProbsOf, noiseOf, pointsOf, problemOf, scoresOf, stepOf } from "./normal.js";
import { exactPolicyGradient, movesOf, probabilitiesOf, scoreOf } from "./policy.js";
import { exactGradient } from "./quadrature.js";
import { normals, uniforms } from "./random.js";
import { rewardsOf } from "./reward.js";

/** Repeated estimates in the cloud. */
export const REPEATS = 200;
/** Variances of estimates below this, over the square of the largest reward, are rounding. */
const ROUNDING = 1e-24;
/** What the random numbers of one seed are for. */
const STREAMS = { draws: 1, cloud: 2 };

/**
 * The Gaussian's experiment.
 *
 * @param {object} state of `state.js`.
 * @param {{levels: Uint8Array, columns: object[]}} picture the reward, and its `columnSteps`.
 */
export function gaussianExperiment(state, picture) {
  const gaussian = { mean: state.mean, factor: state.factor };
  const reward = { ...picture, shift: state.shift, scale: state.scale };

  const noise = state.draws
    ? noiseOf(gaussian, Float64Array.from(state.draws))
    : normals(state.seed, STREAMS.draws, 2 * state.samples);
  const points = state.draws ? Float64Array.from(state.draws) : pointsOf(gaussian, noise);
  const draws = {
    logProbs: logProbsOf(gaussian, noise),
    scores: scoresOf(gaussian, noise),
    rewards: rewardsOf(reward, points),
  };

  // The cloud repeats the whole estimate with draws of its own. A score is a linear function of the
  // noise, so that it is enough to average the noise, and to take the scores of the averages.
  const cloudNoise = cachedNormals(state.seed, 2 * REPEATS * state.samples);
  const cloudPoints = pointsOf(gaussian, cloudNoise);
  const repeats = {
    scores: cloudNoise,
    rewards: rewardsOf(reward, cloudPoints),
    logProbs: state.gradient === "density" ? logProbsOf(gaussian, cloudNoise) : null,
    toGradients: (averages) => scoresOf(gaussian, averages),
  };

  const truth = exactGradient(gaussian, reward);
  const experiment = study(state, draws, repeats, truth.byMean);
  const byFactor = factorGradient(noise, experiment.factors.weighted);
  const bend = state.covariance ? byFactor : [0, 0, 0];
  const after = stepOf(gaussian, experiment.estimate, bend, state.rate);
  return {
    ...experiment,
    points,
    before: gaussian,
    expectedReward: truth.value,
    exactByFactor: truth.byFactor,
    estimateByFactor: byFactor,
    after,
    expectedRewardAfter: problemOf(after) ? NaN : exactGradient(after, reward).value,
    cloudPoints,
  };
}

/** The five moves' experiment. */
export function movesExperiment(state) {
  const probabilities = probabilitiesOf(state.logits);
  const rewards = state.payoffs.map((payoff) => state.shift + state.scale * payoff);
  const noise = uniforms(state.seed, STREAMS.draws);
  const moves = state.draws ?? movesOf(probabilities, Float64Array.from({ length: state.samples }, noise));
  const cloudNoise = uniforms(state.seed, STREAMS.cloud);
  const cloudMoves = movesOf(
    probabilities,
    Float64Array.from({ length: REPEATS * state.samples }, cloudNoise),
  );

  const truth = exactPolicyGradient(probabilities, rewards);
  const experiment = study(
    state,
    rewarded(probabilities, rewards, moves),
    { ...rewarded(probabilities, rewards, cloudMoves), toGradients: (averages) => averages },
    truth.gradient,
  );
  const logits = state.logits.map((logit, k) => logit + state.rate * experiment.estimate[k]);
  const after = probabilitiesOf(logits);
  return {
    ...experiment,
    moves,
    payoffs: rewards,
    before: { logits: state.logits, probabilities },
    expectedReward: truth.value,
    after: { logits, probabilities: after },
    expectedRewardAfter: exactPolicyGradient(after, rewards).value,
    cloudMoves,
  };
}

function rewarded(probabilities, rewards, moves) {
  const table = probabilities.map((_, move) => scoreOf(probabilities, move));
  const scores = new Float64Array(moves.length * probabilities.length);
  moves.forEach((move, k) => scores.set(table[move], k * probabilities.length));
  return {
    logProbs: Float64Array.from(moves, (move) => Math.log(probabilities[move])),
    scores,
    rewards: Float64Array.from(moves, (move) => rewards[move]),
  };
}

/**
 * What both have in common: from scores and rewards to an estimate, and how it scatters.
 *
 * `factors` is what each score is multiplied by where it is drawn: alone, and weighted.
 */
function study(state, draws, repeats, exact) {
  const dimensions = exact.length;
  const weights = weightsOf(draws.rewards, state);
  const factors = {
    score: usedWeights(state, new Float64Array(weights.length).fill(1), draws.logProbs),
    weighted: usedWeights(state, weights, draws.logProbs),
  };
  const estimate = average(draws.scores, factors.weighted, dimensions);

  // The same draws with and without the baseline, so that what differs is the baseline.
  const scores = usedScores(state, repeats.scores, repeats.logProbs);
  const largest = repeats.rewards.reduce((most, reward) => Math.max(most, Math.abs(reward)), 0);
  const negligible = ROUNDING * largest ** 2;
  const [none, chosen] = ["none", state.baseline].map((baseline) => {
    const settings = { baseline, constant: state.constant };
    const averages = repeatedEstimates(scores, repeats.rewards, REPEATS, dimensions, settings);
    const estimates = repeats.toGradients(averages);
    return { estimates, ...summaryOf(estimates, exact, negligible) };
  });
  return {
    ...draws,
    dimensions,
    weights,
    factors,
    estimate,
    exact,
    none,
    chosen,
    worth: chosen.variance > 0 ? (state.samples * none.variance) / chosen.variance : Infinity,
    nextAverage: updatedAverage(state.average, meanOf(draws.rewards)),
  };
}

/** Averaging ∇p instead of ∇ log p = ∇p / p: every weight is multiplied by the density. */
function usedWeights(state, weights, logProbs) {
  if (state.gradient === "log-density") return weights;
  return weights.map((weight, k) => weight * Math.exp(logProbs[k]));
}

function usedScores(state, scores, logProbs) {
  if (state.gradient === "log-density") return scores;
  const dimensions = scores.length / logProbs.length;
  return scores.map((score, k) => score * Math.exp(logProbs[Math.floor(k / dimensions)]));
}

let cached = { seed: NaN, numbers: new Float64Array(0) };

/** The cloud's noise, kept from one frame to the next: dragging changes the Gaussian, not the seed. */
function cachedNormals(seed, count) {
  if (cached.seed !== seed || cached.numbers.length !== count) {
    cached = { seed, numbers: normals(seed, STREAMS.cloud, count) };
  }
  return cached.numbers;
}
