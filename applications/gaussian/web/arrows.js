// How arrows are drawn: how long, which every caption says, and with their names.

import { traceArrow, writeOn } from "./canvas.js";
import { LIMIT } from "./reward.js";

/** @import { Sheet } from "./canvas.js" */
/** @import { GaussianExperiment } from "./experiment.js" */
/** @import { Estimated } from "./study.js" */

/** @typedef {Sheet & {scale: number, opacity: (part: string) => number}} View */

/** Arrows at samples are drawn at this part of their length, over their largest factor. */
const SHORTENED = 0.4;
/** The average and the exact gradient are drawn at this multiple of theirs, or as far as fits. */
const LENGTHENED = 6;
/** Room between an arrow's tip and the edge, units of the plot. */
const EDGE = 0.2;

/**
 * What scores are multiplied by at a stage, the largest of it, and the scale of the arrows.
 *
 * @param {Estimated["factors"]} factors
 * @param {string} stage
 */
export function arrowFactors(factors, stage) {
  const values = stage === "scores" ? factors.score : factors.weighted;
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return { values, largest, scale: SHORTENED / (largest > 0 ? largest : 1) };
}

/**
 * How many times as long the average and the exact gradient are drawn, so that both end on the plot.
 *
 * @param {Pick<GaussianExperiment, "before" | "estimate" | "exact">} experiment
 */
export function lengthOf({ before, estimate, exact }) {
  const fits = [estimate, exact].flatMap((vector) =>
    before.mean.map((at, d) => {
      const room = LIMIT - EDGE - at * Math.sign(vector[d]);
      return room > 0 ? room / Math.abs(vector[d]) : LENGTHENED;
    }),
  );
  const most = Math.min(LENGTHENED, ...fits);
  const unit = 10 ** Math.floor(Math.log10(most));
  return Number((Math.floor(most / unit + 1e-9) * unit).toPrecision(1));
}

/**
 * A point of the plot in pixels.
 *
 * @param {{scale: number}} view
 * @param {number} x
 * @param {number} y
 */
export function toScreen({ scale }, x, y) {
  return [(x + LIMIT) * scale, (LIMIT - y) * scale];
}

/**
 * A thick arrow with its name at its tip.
 *
 * @param {View} view
 * @param {number[]} from units of the plot.
 * @param {number[]} vector units of the plot.
 * @param {string} colour
 * @param {string} part of the page that it is.
 * @param {number[]} dashes
 * @param {string} [name] its name there.
 */
export function drawLongArrow(view, from, vector, colour, part, dashes, name = part) {
  const { context, scale, opacity, width, font } = view;
  const [x, y] = toScreen(view, from[0], from[1]);
  const [dx, dy] = [scale * vector[0], -scale * vector[1]];
  context.globalAlpha = opacity(part);
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 2.6;
  context.setLineDash(dashes);
  context.beginPath();
  traceArrow(context, x, y, dx, dy, 13);
  context.stroke();
  context.fill();
  context.setLineDash([]);

  const length = Math.hypot(dx, dy);
  if (length < 14) return;
  context.font = `600 ${font}`;
  context.textAlign = dx < 0 ? "right" : "left";
  const room = 4 + context.measureText(name).width; // a name is never cut off
  const beyond = x + dx + (8 * dx) / length;
  const left = dx < 0 ? Math.max(room, beyond) : Math.min(width - room, beyond);
  // Two arrows with one tip keep their names apart, and no name lies on its tip.
  const beside = part === "exact" || left !== beyond ? 1 : -1;
  const off = left === beyond ? 6 : 18;
  const top = Math.min(width - 18, Math.max(12, y + dy + (8 * dy) / length + 4 + off * beside));
  writeOn(view, name, left, top, colour);
  context.textAlign = "left";
}
