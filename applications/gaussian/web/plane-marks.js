// Marks on the plane: the paths of runs, a sample that is pointed at, a reader's own arrow.

import { drawLongArrow, lengthOf, toScreen } from "./arrows.js";
import { traceArrow, traceDisc } from "./canvas.js";
import { axesOf } from "./normal.js";

/** @import { Course } from "./courses.js" */
/** @import { GaussianExperiment } from "./experiment.js" */
/** @import { View } from "./arrows.js" */
/** @import { Marks } from "./plane.js" */

/** A run leaves so many ghosts of its ellipse. */
const GHOSTS = 5;

/**
 * A reader's own arrow.
 *
 * @typedef {object} Guess
 * @property {number[]} vector [2], units of the plot, at the scale of the average.
 * @property {boolean} isDone whether the exact one may be seen.
 */

/**
 * The paths of the means, and ghosts of the ellipses of the last.
 *
 * @param {View} view
 * @param {Course[]} courses
 */
export function drawTrails(view, courses) {
  const { context, colour, opacity } = view;
  courses.forEach(({ path, colour: index }, k) => {
    if (path.length < 2) return;
    const isLast = k === courses.length - 1;
    context.strokeStyle = context.fillStyle = colour[`run${index}`];
    if (isLast) drawGhosts(view, path);
    context.globalAlpha = opacity("step") * (isLast ? 1 : 0.6);
    context.lineWidth = isLast ? 2 : 1.4;
    context.beginPath();
    path.forEach(({ mean }, step) => {
      const [x, y] = toScreen(view, mean[0], mean[1]);
      if (step === 0) context.moveTo(x, y);
      else context.lineTo(x, y);
    });
    context.stroke();
    const [x, y] = toScreen(view, path[0].mean[0], path[0].mean[1]);
    context.beginPath();
    traceDisc(context, x, y, 3);
    context.fill();
  });
  context.globalAlpha = 1;
}

/**
 * Ellipses of one standard deviation along a path.
 *
 * @param {View} view
 * @param {Course["path"]} path
 */
function drawGhosts(view, path) {
  const { context, scale, opacity } = view;
  context.lineWidth = 1;
  context.globalAlpha = 0.4 * opacity("step");
  for (let ghost = 0; ghost < GHOSTS; ghost++) {
    const gaussian = path[Math.floor((ghost * (path.length - 1)) / GHOSTS)];
    const { deviations, angle } = axesOf(gaussian);
    const [x, y] = toScreen(view, gaussian.mean[0], gaussian.mean[1]);
    context.beginPath();
    const [first, second] = deviations.map((deviation) => deviation * scale);
    context.ellipse(x, y, first, second, -angle, 0, 2 * Math.PI);
    context.stroke();
  }
}

/**
 * Mark a sample and its arrow, wherever that is drawn.
 *
 * @param {View} view
 * @param {Float64Array} arrows [4n]
 * @param {GaussianExperiment} experiment
 * @param {number} sample
 */
export function drawMark(view, arrows, { points, weights }, sample) {
  if (sample < 0 || sample >= weights.length) return;
  const { context, colour, scale } = view;
  const [x, y] = toScreen(view, points[2 * sample], points[2 * sample + 1]);
  context.globalAlpha = 1;
  context.strokeStyle = colour.ink;
  context.lineWidth = 2.2;
  context.beginPath();
  traceDisc(context, x, y, 7);
  const [fromX, fromY] = toScreen(view, arrows[4 * sample], arrows[4 * sample + 1]);
  const [dx, dy] = [scale * arrows[4 * sample + 2], -scale * arrows[4 * sample + 3]];
  traceArrow(context, fromX, fromY, dx, dy, 10);
  context.stroke();
}

/**
 * The exact gradient.
 *
 * @param {View} view
 * @param {GaussianExperiment} experiment
 */
export function drawExact(view, experiment) {
  const { before, exact } = experiment;
  const length = lengthOf(experiment);
  const longer = Array.from(exact, (entry) => length * entry);
  drawLongArrow(view, before.mean, longer, view.colour.truth, "exact", [6, 4], `exact, ×${length}`);
}

/**
 * A reader's own arrow from the mean, and the exact one once it is drawn.
 *
 * @param {View} view
 * @param {GaussianExperiment} experiment
 * @param {Marks} marks
 */
export function drawGuess(view, experiment, { guess, isAnswered }) {
  if (!guess) return;
  const { before } = experiment;
  const { context, colour, opacity } = view;
  if (guess.isDone && !isAnswered) drawExact(view, experiment);
  drawLongArrow(view, before.mean, guess.vector, colour.meant, "your guess", []);
  const [x, y] = toScreen(view, before.mean[0], before.mean[1]);
  context.globalAlpha = opacity("density");
  context.fillStyle = colour.density;
  context.beginPath();
  traceDisc(context, x, y, 7);
  context.fill();
}
