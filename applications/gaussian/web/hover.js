// What is under a pointer on the plane, and how a reader's own arrow compares.

import { arrowFactors, lengthOf } from "./arrows.js";
import { size } from "./numbers.js";

/** @import { GaussianExperiment } from "./experiment.js" */
/** @import { Guess } from "./plane-marks.js" */

/**
 * No arrow yet, and so no answer.
 *
 * @type {Guess}
 */
export const NO_GUESS = { vector: [0, 0], isDone: false };
/** An arrow is too short to be seen, and so to be guessed, where another is so many times as long. */
const INVISIBLE = 1e5;
/** A pointer is at a sample within this distance, units of the plot. */
const NEAR = 0.2;

/**
 * The sample nearest to a point of the plot; where the arrows lie at the mean, that of the nearest tip.
 *
 * @param {GaussianExperiment} experiment
 * @param {string} stage
 * @param {number[]} at
 * @returns {number} its index; −1 if there is none near.
 */
export function sampleAt(experiment, stage, [x, y]) {
  if (stage === "step") return -1;
  const { points, scores, factors, before } = experiment;
  const { values, scale } = arrowFactors(factors, stage);
  const isBundle = stage === "average";
  let nearest = -1;
  let distance = NEAR;
  for (let k = 0; k < values.length; k++) {
    const [left, top] = isBundle
      ? [0, 1].map((d) => before.mean[d] + scale * values[k] * scores[2 * k + d])
      : [points[2 * k], points[2 * k + 1]];
    const own = Math.hypot(left - x, top - y);
    if (own < distance) {
      nearest = k;
      distance = own;
    }
  }
  return nearest;
}

/**
 * How a reader's arrow compares with the exact one.
 *
 * @param {Guess} guess
 * @param {GaussianExperiment} experiment
 */
export function guessSentence({ vector, isDone }, experiment) {
  const { exact, estimate } = experiment;
  const times = lengthOf(experiment);
  if (!isDone) {
    return `Drag from the mean. Your arrow stands for the average of all arrows, drawn at ${times} times its length.`;
  }
  const [dx, dy] = vector;
  if (Math.hypot(dx, dy) < 0.02) return "An arrow of no length points nowhere: drag once more.";
  const angle = (/** @type {ArrayLike<number>} */ other) =>
    Math.round(degreesBetween(vector, other));
  const length = Math.hypot(exact[0], exact[1]) * times;
  const ratio = Math.hypot(dx, dy) / length;
  const verdict =
    ratio < INVISIBLE
      ? `Your arrow is ${angle(exact)}° from the exact gradient (dashed) and ${size(ratio, 2)} times as long.`
      : "The exact gradient is too short here to be seen: no arrow is right, and none has its direction.";
  const hasAverage = Math.hypot(estimate[0], estimate[1]) > 0;
  const average = hasAverage ? `${angle(estimate)}° from yours` : "zero";
  return `${verdict} The average of these samples is ${average}.`;
}

/**
 * The angle between two directions, 0 to 180 degrees.
 *
 * @param {ArrayLike<number>} one
 * @param {ArrayLike<number>} other
 */
export function degreesBetween(one, other) {
  const turn = Math.atan2(one[1], one[0]) - Math.atan2(other[1], other[0]);
  return (Math.abs(Math.atan2(Math.sin(turn), Math.cos(turn))) * 180) / Math.PI;
}
