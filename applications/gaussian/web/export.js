// Everything the page computed, for `Save numbers`.

/** @import { Distribution, Experiment } from "./experiment.js" */
/** @import { State } from "./state.js" */

/**
 * The numbers, unrounded; arrays are flat, as the experiment has them.
 *
 * @param {Experiment} experiment
 * @param {State} state
 * @param {Distribution<any, any>} distribution
 */
export function numbersOf(experiment, state, distribution) {
  const { chosen, none } = experiment;
  const isComparable = state.baseline !== "standardized" && state.gradient === "log-density";
  const worth = isComparable ? experiment.worth : { value: NaN, low: NaN, high: NaN };
  const { cloud_draws, ...own } = distribution.numbers(experiment);
  return {
    state,
    draws: distribution.draws(experiment),
    log_probs: Array.from(experiment.logProbs),
    scores: Array.from(experiment.scores),
    rewards: Array.from(experiment.rewards),
    weights: Array.from(experiment.weights),
    estimate: Array.from(experiment.estimate),
    expected_reward: experiment.expectedReward,
    exact_gradient: Array.from(experiment.exact),
    ...own,
    after: experiment.after,
    expected_reward_after: experiment.expectedRewardAfter,
    best_constant: experiment.best,
    cloud: {
      draws: cloud_draws,
      estimates: Array.from(chosen.estimates),
      mean: Array.from(chosen.mean),
      total_variance: chosen.variance,
      total_variance_none: none.variance,
      worth: finite(worth.value),
      worth_low: finite(worth.low),
      worth_high: finite(worth.high),
    },
  };
}

/**
 * A number that JSON can hold.
 *
 * @param {number} value
 */
function finite(value) {
  return Number.isFinite(value) ? value : null;
}
