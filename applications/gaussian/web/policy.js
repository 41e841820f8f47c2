// A policy over a few moves: a softmax of logits, its draws and its scores.

export const MOVES = ["far left", "left", "stay", "right", "far right"];

/**
 * Probabilities [A] of logits [A].
 *
 * @param {number[]} logits
 */
export function probabilitiesOf(logits) {
  const highest = Math.max(...logits);
  const odds = logits.map((logit) => Math.exp(logit - highest));
  const total = odds.reduce((sum, odd) => sum + odd, 0);
  return odds.map((odd) => odd / total);
}

/**
 * Moves [n], indices, of uniform numbers [n]: the first move whose cumulative probability is more.
 *
 * @param {number[]} probabilities [A]
 * @param {ArrayLike<number>} noise
 */
export function movesOf(probabilities, noise) {
  return Array.from(noise, (number) => {
    let left = number;
    for (let move = 0; move < probabilities.length - 1; move++) {
      if (left < probabilities[move]) return move;
      left -= probabilities[move];
    }
    return probabilities.length - 1;
  });
}

/**
 * The score of a move, ∂ log p(move) / ∂ logits [A]: one for the move itself, less p.
 *
 * @param {number[]} probabilities [A]
 * @param {number} move
 */
export function scoreOf(probabilities, move) {
  return probabilities.map((probability, k) => (k === move ? 1 : 0) - probability);
}

/**
 * Expected reward and its gradient by the logits [A]: p (f − E f).
 *
 * @param {number[]} probabilities [A]
 * @param {number[]} rewards [A]
 */
export function exactPolicyGradient(probabilities, rewards) {
  const value = probabilities.reduce((sum, probability, k) => sum + probability * rewards[k], 0);
  return {
    value,
    gradient: probabilities.map((probability, k) => probability * (rewards[k] - value)),
  };
}
