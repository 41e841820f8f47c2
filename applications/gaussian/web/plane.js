// The picture of the plane: reward, Gaussian, samples, and the arrows of each stage.

import { arrowFactors, drawLongArrow, lengthOf, toScreen } from "./arrows.js";
import { colours, prepared, traceArrow, traceCross, traceDisc } from "./canvas.js";
import { labelsOf } from "./labels.js";
import { Glide } from "./motion.js";
import { axesOf } from "./normal.js";
import { size } from "./numbers.js";
import { drawExact, drawGuess, drawMark, drawTrails } from "./plane-marks.js";
import { CELLS, LIMIT } from "./reward.js";

/** @import { View } from "./arrows.js" */
/** @import { GaussianExperiment } from "./experiment.js" */
/** @import { Label } from "./labels.js" */
/** @import { Gaussian } from "./normal.js" */
/** @import { Guess } from "./plane-marks.js" */
/** @import { Course } from "./courses.js" */
/** @import { State } from "./state.js" */

/**
 * What is shown besides the experiment.
 *
 * @typedef {object} Marks
 * @property {(part: string) => number} opacity how much of each part is seen, 0 to 1.
 * @property {string} stage
 * @property {number[]} seen the samples that are seen.
 * @property {number} sample the one that is marked; −1 for none.
 * @property {Course[]} courses with the paths of their means.
 * @property {Guess | null} guess a reader's own arrow.
 * @property {boolean} isAnswered whether the average stands beside it.
 */

/** The canvas of the plane. */
export class Plane {
  #canvas;
  #picture = new OffscreenCanvas(CELLS, CELLS);
  #arrows = new Glide();
  #stage = "";
  /** @type {Label[]} */
  #labels = [];

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Whether something on the canvas still glides. */
  get moves() {
    return this.#arrows.moves;
  }

  /**
   * Paint the reward, once for every change of it or of the colours.
   *
   * @param {Uint8Array} levels
   */
  setPicture(levels) {
    const context = this.#picture.getContext("2d");
    if (!context) return;
    this.#labels = labelsOf(levels);
    const { low, high } = colours();
    const [from, to] = [low, high].map((colour) =>
      [1, 3, 5].map((k) => Number.parseInt(colour.slice(k, k + 2), 16)),
    );
    const image = context.createImageData(CELLS, CELLS);
    for (let k = 0; k < levels.length; k++) {
      for (let c = 0; c < 3; c++) {
        image.data[4 * k + c] = from[c] + (levels[k] / 255) * (to[c] - from[c]);
      }
      image.data[4 * k + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  /**
   * Set what to draw: an experiment, and the stage that shows it.
   *
   * @param {GaussianExperiment} experiment
   * @param {string} stage
   * @param {boolean} glides
   */
  show(experiment, stage, glides) {
    this.#arrows.goTo(arrowsOf(experiment, stage), stage !== this.#stage || glides);
    this.#stage = stage;
  }

  /**
   * Draw.
   *
   * @param {GaussianExperiment} experiment
   * @param {State} state
   * @param {Marks} marks
   */
  draw(experiment, state, marks) {
    const sheet = prepared(this.#canvas);
    const { context, width, colour } = sheet;
    const { stage, opacity } = marks;
    const view = { ...sheet, scale: width / (2 * LIMIT), opacity };

    context.globalAlpha = opacity("reward");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.#picture, 0, 0, width, width);
    drawTicks(view);
    this.#drawWorth(view, state);

    const isStep = stage === "step";
    context.globalAlpha = opacity(isStep ? "step" : "density");
    const now = isStep ? colour.muted : colour.density;
    drawContours(view, experiment.before, now, isStep ? [6, 5] : []);
    if (isStep) drawContours(view, experiment.after, colour.density, []);
    drawTrails(view, marks.courses);

    if (!isStep) {
      drawArrows(view, this.#arrows.now(), experiment, marks);
      drawSamples(view, experiment, marks);
    }
    if (stage === "average" && (!marks.guess || marks.isAnswered)) drawAverages(view, experiment);
    if (marks.guess) drawGuess(view, experiment, marks);
    if (isStep) drawStep(view, experiment);
    drawMark(view, this.#arrows.now(), experiment, marks.sample);
    context.globalAlpha = 1;
  }

  /**
   * Write what the regions are worth.
   *
   * @param {View} view
   * @param {State} state
   */
  #drawWorth(view, { shift, scale }) {
    const { context, colour, font } = view;
    context.font = font;
    context.textAlign = "center";
    context.globalAlpha = 0.85 * view.opacity("reward");
    for (const { x, y, level } of this.#labels) {
      const worth = shift + scale * (level / 127.5 - 1);
      const words = (worth > 0 ? "+" : "") + size(worth);
      const [left, top] = toScreen(view, x, y);
      context.fillStyle = colour.muted;
      context.fillText(words, left, top + 4);
    }
    context.textAlign = "left";
  }
}

/**
 * Origins and vectors [4n] of the arrows at the samples, units of the plot.
 *
 * @param {GaussianExperiment} experiment
 * @param {string} stage
 */
function arrowsOf({ points, scores, factors, before }, stage) {
  const { values, scale } = arrowFactors(factors, stage);
  const arrows = new Float64Array(4 * values.length);
  const isBundle = stage === "average" || stage === "step";
  for (let k = 0; k < values.length; k++) {
    for (let d = 0; d < 2; d++) {
      arrows[4 * k + d] = isBundle ? before.mean[d] : points[2 * k + d];
      arrows[4 * k + 2 + d] = scale * values[k] * scores[2 * k + d];
    }
  }
  return arrows;
}

/** @param {View} view */
function drawTicks({ context, colour, scale, width, opacity, font }) {
  context.globalAlpha = opacity("ticks");
  context.fillStyle = colour.muted;
  context.font = font;
  for (let tick = -3; tick <= 3; tick++) {
    const at = (tick + LIMIT) * scale;
    const label = String(tick).replace("-", "−");
    context.textAlign = "center";
    context.fillText(label, at, width - 5);
    context.textAlign = "left";
    if (tick > -3) context.fillText(label, 4, width - at + 4);
  }
  context.font = `italic ${font}`;
  context.textBaseline = "top";
  context.fillText("x₂", 20, 2);
  context.textBaseline = "alphabetic";
  context.textAlign = "right";
  context.fillText("x₁", width - 4, width - 18);
}

/**
 * Where the density is that of one and of two standard deviations.
 *
 * @param {View} view
 * @param {Gaussian} gaussian
 * @param {string} colour
 * @param {number[]} dashes
 */
function drawContours(view, gaussian, colour, dashes) {
  const { context, scale } = view;
  const { deviations, angle } = axesOf(gaussian);
  const [x, y] = toScreen(view, gaussian.mean[0], gaussian.mean[1]);
  context.strokeStyle = colour;
  context.lineWidth = 1.6;
  context.setLineDash(dashes);
  for (const radius of [1, 2]) {
    context.beginPath();
    const [first, second] = deviations.map((deviation) => radius * deviation * scale);
    context.ellipse(x, y, first, second, -angle, 0, 2 * Math.PI);
    context.stroke();
  }
  context.setLineDash([]);
}

/**
 * The arrows, those that count backwards first.
 *
 * @param {View} view
 * @param {Float64Array} arrows [4n]
 * @param {GaussianExperiment} experiment
 * @param {Marks} marks
 */
function drawArrows(view, arrows, { weights }, { stage, seen }) {
  const { context, scale, colour, opacity } = view;
  const strength = stage === "average" ? 0.35 : 1;
  for (const isGood of [false, true]) {
    context.beginPath();
    for (const k of seen) {
      if (weights[k] > 0 !== isGood) continue;
      const [x, y] = toScreen(view, arrows[4 * k], arrows[4 * k + 1]);
      traceArrow(context, x, y, scale * arrows[4 * k + 2], -scale * arrows[4 * k + 3], 8);
    }
    const own = isGood ? colour.good : colour.bad;
    context.strokeStyle = context.fillStyle = stage === "scores" ? colour.score : own;
    context.lineWidth = isGood || stage === "scores" ? 1.6 : 1.1;
    context.globalAlpha = strength * opacity(stage === "scores" ? "scores" : "weighted");
    context.stroke();

    // Arrows that count backwards keep hollow heads, for eyes that do not tell red from green.
    if (isGood || stage === "scores") context.fill();
  }
}

/**
 * Samples that pull are discs, those that push are crosses, and those that do neither are points.
 *
 * @param {View} view
 * @param {GaussianExperiment} experiment
 * @param {Marks} marks
 */
function drawSamples(view, { points, weights }, { stage, seen }) {
  if (stage === "average") return;
  const { context, colour, opacity } = view;
  context.globalAlpha = opacity("samples");
  const kinds = ["bad", "idle", "good"];
  const looks = { plain: colour.density, bad: colour.bad, idle: colour.muted, good: colour.good };
  for (const [kind, own] of Object.entries(looks)) {
    context.beginPath();
    for (const k of seen) {
      const ownKind = stage === "scores" ? "plain" : kinds[Math.sign(weights[k]) + 1];
      if (ownKind !== kind) continue;
      const [x, y] = toScreen(view, points[2 * k], points[2 * k + 1]);
      if (kind === "bad") traceCross(context, x, y, 2.6, true);
      else traceDisc(context, x, y, kind === "idle" ? 1.6 : 3);
    }
    context.fillStyle = context.strokeStyle = own;
    context.lineWidth = 1.2;
    if (kind === "bad") context.stroke();
    else context.fill();
  }
}

/**
 * The average, and what it would be with infinitely many samples.
 *
 * @param {View} view
 * @param {GaussianExperiment} experiment
 */
function drawAverages(view, experiment) {
  const { before, estimate } = experiment;
  const length = lengthOf(experiment);
  const longer = Array.from(estimate, (entry) => length * entry);
  drawExact(view, experiment);
  drawLongArrow(view, before.mean, longer, view.colour.ink, "average", [], `average, ×${length}`);
}

/**
 * The step of the mean, at its own length.
 *
 * @param {View} view
 * @param {GaussianExperiment} experiment
 */
function drawStep(view, { before, after }) {
  const step = [after.mean[0] - before.mean[0], after.mean[1] - before.mean[1]];
  drawLongArrow(view, before.mean, step, view.colour.ink, "step", []);
}
