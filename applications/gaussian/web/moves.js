// The policy over five moves as the page has it: its experiment, its step, its captions.

import { arrowFactors } from "./arrows.js";
import { amount, signed, size, unitOf } from "./numbers.js";
import { exactPolicyGradient, MOVES, movesOf, probabilitiesOf, scoreOf } from "./policy.js";
import { uniforms } from "./random.js";
import { emptyNote, weightName } from "./sentences.js";
import { estimated, noiseAround, REPEATS, STREAMS } from "./study.js";

/** @import { Distribution, MovesEstimate, MovesExperiment } from "./experiment.js" */
/** @import { State } from "./state.js" */
/** @import { CloudDraws, Truth } from "./study.js" */

/** Logits further from 0 leave no move but one. */
const LARGEST_LOGIT = 20;

/** @type {Distribution<MovesEstimate, MovesExperiment>} */
export const MOVES_POLICY = {
  estimate: movesEstimate,
  experiment: movesExperiment,
  value: (state) => exactPolicyGradient(probabilitiesOf(state.logits), payoffsOf(state)).value,
  problem({ after }) {
    const isFar = after.logits.some((logit) => !(Math.abs(logit) <= LARGEST_LOGIT));
    return isFar ? `a logit is beyond ${LARGEST_LOGIT}` : "";
  },
  place: ({ after }) => ({ logits: after.logits }),
  caption: movesCaption,
  placeSentence: () => "",
  sampleAt: () => -1,
  sampleSentence({ moves, logProbs, rewards, weights }, sample, state) {
    const logProb = signed(logProbs[sample], 2);
    const reward = amount(rewards[sample], state.scale);
    const weight = amount(weights[sample], unitOf(state));
    return `${MOVES[moves[sample]]}: log p = ${logProb}, reward ${reward}, weight ${weight}`;
  },
  drawName: ({ moves }, sample) => MOVES[moves[sample]],
  numbers: ({ cloudMoves }) => ({ cloud_draws: cloudMoves }),
  draws: ({ moves }) => moves,
};

/**
 * The reward of each move [A].
 *
 * @param {State} state
 */
function payoffsOf({ payoffs, shift, scale }) {
  return payoffs.map((payoff) => shift + scale * payoff);
}

/**
 * One estimate, and the step along it.
 *
 * @param {State} state
 * @returns {MovesEstimate}
 */
function movesEstimate(state) {
  const probabilities = probabilitiesOf(state.logits);
  const payoffs = payoffsOf(state);
  const noise = uniform(state.seed, STREAMS.draws, state.samples);
  const moves = state.draws ?? movesOf(probabilities, noise);
  const own = estimated(state, rewarded(probabilities, payoffs, moves));
  const logits = state.logits.map((logit, k) => logit + state.rate * own.estimate[k]);
  return {
    ...own,
    tab: "moves",
    moves,
    payoffs,
    before: { logits: state.logits, probabilities },
    after: { logits, probabilities: probabilitiesOf(logits) },
  };
}

/**
 * The estimate, its noise, and the truth.
 *
 * @param {State} state
 * @returns {MovesExperiment}
 */
function movesExperiment(state) {
  const own = movesEstimate(state);
  const { payoffs, before, after } = own;
  const noise = uniform(state.seed, STREAMS.cloud, REPEATS * state.samples);
  const cloudMoves = movesOf(before.probabilities, noise);
  /** @type {CloudDraws} */
  const cloud = {
    ...rewarded(before.probabilities, payoffs, cloudMoves),
    toGradients: (averages) => averages,
  };
  return {
    ...own,
    ...noiseAround(state, cloud, policyTruth(before.probabilities, payoffs)),
    expectedRewardAfter: exactPolicyGradient(after.probabilities, payoffs).value,
    cloudMoves,
  };
}

/**
 * The exact answer, a sum over the moves.
 *
 * @param {number[]} probabilities [A]
 * @param {number[]} rewards [A]
 * @returns {Truth}
 */
function policyTruth(probabilities, rewards) {
  const { value, gradient } = exactPolicyGradient(probabilities, rewards);
  const lengths = probabilities.map(
    (probability, move) =>
      probability * scoreOf(probabilities, move).reduce((sum, entry) => sum + entry ** 2, 0),
  );
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const weighted = lengths.reduce((sum, length, move) => sum + length * rewards[move], 0);
  return {
    value,
    gradient,
    best: total > 0 ? weighted / total : value,
    slope: Math.hypot(...gradient),
  };
}

/**
 * Uniform numbers [count] of a seed.
 *
 * @param {number} seed
 * @param {number} stream
 * @param {number} count
 */
function uniform(seed, stream, count) {
  return Float64Array.from({ length: count }, uniforms(seed, stream));
}

/**
 * Moves with what is known of each.
 *
 * @param {number[]} probabilities [A]
 * @param {number[]} rewards [A]
 * @param {number[]} moves [n]
 */
function rewarded(probabilities, rewards, moves) {
  const table = probabilities.map((_, move) => scoreOf(probabilities, move));
  const scores = new Float64Array(moves.length * probabilities.length);
  moves.forEach((move, k) => {
    scores.set(table[move], k * probabilities.length);
  });
  return {
    logProbs: Float64Array.from(moves, (move) => Math.log(probabilities[move])),
    scores,
    rewards: Float64Array.from(moves, (move) => rewards[move]),
  };
}

/**
 * What the table shows, in a sentence under it.
 *
 * @param {MovesExperiment} experiment
 * @param {State} state
 * @param {string} stage
 */
function movesCaption(experiment, state, stage) {
  const { largest } = arrowFactors(experiment.factors, stage);
  const gradient = state.gradient === "density" ? "∇p" : "score";
  if (stage === "scores") {
    return (
      `Each row: a move that was drawn, and its ${gradient} with respect to the five logits ` +
      "(the score: 1 for the move itself, minus the probabilities)."
    );
  }
  if (stage === "weighted") {
    return (
      `Each row: ${weightName(state)} × ${gradient}; ` +
      `the largest factor is ${size(largest)}.${emptyNote(state)}`
    );
  }
  if (stage === "average") {
    return "Last row: the average over all draws, and beside it the exact gradient, dashed; longer than the rows above it, to a scale of its own.";
  }
  return `Filled: before the step. Outlined, and in figures: after it (logits + ${size(state.rate)} × average).`;
}
