// What an experiment holds, and what a distribution has to bring: there is one object for each tab.

/** @import { Gaussian } from "./normal.js" */
/** @import { Column } from "./quadrature.js" */
/** @import { State } from "./state.js" */
/** @import { Estimated, Noise } from "./study.js" */

/**
 * The reward as a picture.
 *
 * @typedef {object} Picture
 * @property {Uint8Array} levels row by row from the top.
 * @property {Column[]} columns of `columnSteps`.
 */

/**
 * An estimate of the Gaussian's gradient, and the step along it.
 *
 * @typedef {object} OfGaussian
 * @property {"gaussian"} tab
 * @property {Float64Array} noise [2n]
 * @property {Float64Array} points [2n]
 * @property {Gaussian} before
 * @property {Gaussian} after the step.
 * @property {number[]} estimateByFactor [3]
 */

/**
 * What is known of the Gaussian besides.
 *
 * @typedef {object} AroundGaussian
 * @property {number} expectedRewardAfter NaN where the Gaussian after the step cannot be drawn.
 * @property {number[]} exactByFactor [3]
 * @property {Float64Array} cloudPoints [2 · R · n]
 */

/**
 * A policy.
 *
 * @typedef {{logits: number[], probabilities: number[]}} Policy
 */

/**
 * An estimate of the policy's gradient, and the step along it.
 *
 * @typedef {object} OfMoves
 * @property {"moves"} tab
 * @property {number[]} moves [n], indices.
 * @property {number[]} payoffs [A], the reward of each move.
 * @property {Policy} before
 * @property {Policy} after the step.
 */

/**
 * What is known of the policy besides.
 *
 * @typedef {object} AroundMoves
 * @property {number} expectedRewardAfter
 * @property {number[]} cloudMoves [R · n]
 */

/** @typedef {Estimated & OfGaussian} GaussianEstimate */
/** @typedef {Estimated & OfMoves} MovesEstimate */
/** @typedef {GaussianEstimate & Noise & AroundGaussian} GaussianExperiment */
/** @typedef {MovesEstimate & Noise & AroundMoves} MovesExperiment */
/** @typedef {GaussianExperiment | MovesExperiment} Experiment */

/**
 * A distribution: what a state means for it.
 *
 * @template {GaussianEstimate | MovesEstimate} E an estimate and its step.
 * @template {Experiment} X all that is shown of it.
 * @typedef {object} Distribution
 * @property {(state: State, picture: Picture) => E} estimate one estimate, without its noise.
 * @property {(state: State, picture: Picture) => X} experiment
 * @property {(state: State, picture: Picture) => number} value the expected reward.
 * @property {(estimate: E) => string} problem with the place after the step; empty if it is fine.
 * @property {(estimate: E) => Partial<State>} place after the step.
 * @property {(experiment: X, state: State, stage: string) => string} caption
 * @property {(state: State) => string} placeSentence where it is, for those who listen.
 * @property {(experiment: X, stage: string, at: number[]) => number} sampleAt the sample under a
 *     pointer in the plot; −1 for none.
 * @property {(experiment: X, sample: number, state: State) => string} sampleSentence a sample in figures.
 * @property {(experiment: X, sample: number) => string} drawName a draw, in short.
 * @property {(experiment: X) => {cloud_draws: number[]} & Record<string, any>} numbers of its own, for `Save numbers`.
 * @property {(experiment: X) => number[]} draws as a state has them.
 */

export {};
