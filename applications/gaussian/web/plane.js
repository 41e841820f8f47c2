// The picture of the plane: reward, Gaussian, samples, and the arrows of each stage.

import { colours, prepared, traceArrow, traceCross, traceDisc } from "./canvas.js";
import { Glide } from "./motion.js";
import { axesOf } from "./normal.js";
import { CELLS, LIMIT } from "./reward.js";

/** Arrows at samples are drawn at this part of their length, over their largest factor. */
const SHORTENED = 0.4;
/** The average and the exact gradient are drawn at this multiple of theirs. */
export const LENGTHENED = 6;

/** The canvas of the plane. */
export class Plane {
  #canvas;
  #picture = new OffscreenCanvas(CELLS, CELLS);
  #arrows = new Glide();
  #stage = "";

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Whether something on the canvas still glides. */
  get moves() {
    return this.#arrows.moves;
  }

  /** Paint the reward, once for every change of it or of the colours. */
  setPicture(levels) {
    const context = this.#picture.getContext("2d");
    const { low, high } = colours();
    const [from, to] = [low, high].map((colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16)));
    const image = context.createImageData(CELLS, CELLS);
    for (let k = 0; k < levels.length; k++) {
      for (let c = 0; c < 3; c++) image.data[4 * k + c] = from[c] + (levels[k] / 255) * (to[c] - from[c]);
      image.data[4 * k + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  /** Set what to draw: an experiment, and the stage that shows it. */
  show(experiment, stage, glides) {
    const changes = stage !== this.#stage || glides;
    this.#arrows.goTo(arrowsOf(experiment, stage), changes);
    this.#stage = stage;
  }

  /**
   * Draw.
   *
   * @param {object} experiment of `gaussianExperiment`.
   * @param {(part: string) => number} opacity how much of each part is seen, 0 to 1.
   */
  draw(experiment, opacity) {
    const { context, width } = prepared(this.#canvas);
    const view = { context, scale: width / (2 * LIMIT), colour: colours(), opacity, width };
    const stage = this.#stage;

    context.globalAlpha = opacity("reward");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.#picture, 0, 0, width, width);
    drawTicks(view);

    const isStep = stage === "step";
    context.globalAlpha = opacity(isStep ? "step" : "density");
    drawContours(view, experiment.before, isStep ? view.colour.muted : view.colour.density, isStep ? [6, 5] : []);
    if (isStep) drawContours(view, experiment.after, view.colour.density, []);

    if (!isStep) {
      drawArrows(view, this.#arrows.now(), experiment.weights, stage);
      drawSamples(view, experiment, stage);
    }
    if (stage === "average") drawAverages(view, experiment);
    if (isStep) drawStep(view, experiment);
    context.globalAlpha = 1;
  }
}

/** Origins and vectors [4n] of the arrows at the samples, units of the plot. */
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

/** What scores are multiplied by at a stage, the largest of it, and the scale of the arrows. */
export function arrowFactors(factors, stage) {
  const values = stage === "scores" ? factors.score : factors.weighted;
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return { values, largest, scale: SHORTENED / (largest > 0 ? largest : 1) };
}

function toScreen({ scale }, x, y) {
  return [(x + LIMIT) * scale, (LIMIT - y) * scale];
}

function drawTicks({ context, colour, scale, width, opacity }) {
  context.globalAlpha = opacity("ticks");
  context.fillStyle = colour.muted;
  context.font = "11px system-ui, sans-serif";
  for (let tick = -3; tick <= 3; tick++) {
    const at = (tick + LIMIT) * scale;
    const label = String(tick).replace("-", "−");
    context.textAlign = "center";
    context.fillText(label, at, width - 5);
    context.textAlign = "left";
    if (tick > -3) context.fillText(label, 4, width - at + 4);
  }
}

/** Where the density is that of one and of two standard deviations. */
function drawContours(view, gaussian, colour, dashes) {
  const { context, scale } = view;
  const { deviations, angle } = axesOf(gaussian);
  const [x, y] = toScreen(view, ...gaussian.mean);
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

function drawArrows(view, arrows, weights, stage) {
  const { context, scale, colour, opacity } = view;
  const seen = stage === "average" ? 0.35 : 1;
  for (const isGood of [false, true]) {
    context.beginPath();
    for (let k = 0; k < weights.length; k++) {
      if ((weights[k] > 0) !== isGood) continue;
      const [x, y] = toScreen(view, arrows[4 * k], arrows[4 * k + 1]);
      traceArrow(context, x, y, scale * arrows[4 * k + 2], -scale * arrows[4 * k + 3], 8);
    }
    const own = isGood ? colour.good : colour.bad;
    context.strokeStyle = context.fillStyle = stage === "scores" ? colour.score : own;
    context.lineWidth = isGood || stage === "scores" ? 1.6 : 1.1;
    context.globalAlpha = seen * opacity(stage === "scores" ? "scores" : "weighted");
    context.stroke();

    // Arrows that count backwards keep hollow heads, for eyes that do not tell red from green.
    if (isGood || stage === "scores") context.fill();
  }
}

/** Samples that pull are discs, those that push are crosses, and those that do neither are points. */
function drawSamples(view, { points, weights }, stage) {
  if (stage === "average") return;
  const { context, colour, opacity } = view;
  context.globalAlpha = opacity("samples");
  const kindOf = (weight) => (stage === "scores" ? "plain" : ["bad", "idle", "good"][Math.sign(weight) + 1]);
  const looks = { plain: colour.density, bad: colour.bad, idle: colour.muted, good: colour.good };
  for (const [kind, own] of Object.entries(looks)) {
    context.beginPath();
    for (let k = 0; k < weights.length; k++) {
      if (kindOf(weights[k]) !== kind) continue;
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

/** The average, and what it would be with infinitely many samples. */
function drawAverages(view, { before, estimate, exact }) {
  const longer = (gradient) => Array.from(gradient, (entry) => LENGTHENED * entry);
  drawLongArrow(view, before.mean, longer(exact), view.colour.truth, "exact", [6, 4]);
  drawLongArrow(view, before.mean, longer(estimate), view.colour.ink, "average", []);
}

function drawStep(view, { before, after }) {
  const step = [after.mean[0] - before.mean[0], after.mean[1] - before.mean[1]];
  drawLongArrow(view, before.mean, step, view.colour.ink, "step", []);
}

function drawLongArrow(view, from, vector, colour, part, dashes) {
  const { context, scale, opacity } = view;
  const [x, y] = toScreen(view, ...from);
  context.globalAlpha = opacity(part);
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 2.6;
  context.setLineDash(dashes);
  context.beginPath();
  traceArrow(context, x, y, scale * vector[0], -scale * vector[1], 13);
  context.stroke();
  context.fill();
  context.setLineDash([]);
}
