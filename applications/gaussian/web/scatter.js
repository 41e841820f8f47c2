// How estimates are drawn: dots around a cross, in the plane or in strips.

import { traceCross, traceDisc } from "./canvas.js";

/** @import { Sheet } from "./canvas.js" */

/**
 * Where estimates are on a sheet.
 *
 * @typedef {object} Axes
 * @property {number} dimensions
 * @property {number} scale pixels per unit of the gradient.
 * @property {number} strip width of one component's, where there are more than two.
 * @property {(values: ArrayLike<number>, k: number) => number} x of the k-th estimate of two numbers.
 * @property {(values: ArrayLike<number>, k: number) => number} y likewise.
 * @property {(value: number) => number} up of one component in its strip.
 */

/** @typedef {Sheet & Axes} ScatterView */

/**
 * The exact gradient in the middle, `reach` at the edge.
 *
 * @param {Sheet} sheet
 * @param {ArrayLike<number>} exact
 * @param {number} reach
 * @returns {ScatterView}
 */
export function scaleFor(sheet, exact, reach) {
  const { width, height } = sheet;
  const dimensions = exact.length;
  const plane = (0.46 * Math.min(width, height)) / reach;
  const low = Math.min(...Array.from(exact)) - reach;
  const high = Math.max(...Array.from(exact)) + reach;
  return {
    ...sheet,
    dimensions,
    strip: width / dimensions,
    scale: dimensions === 2 ? plane : (0.92 * height) / (high - low),
    x: (values, k) => width / 2 + plane * (values[2 * k] - exact[0]),
    y: (values, k) => height / 2 - plane * (values[2 * k + 1] - exact[1]),
    up: (value) => height * (0.04 + (0.92 * (high - value)) / (high - low)),
  };
}

/**
 * Lines through zero, and a bar of a round length.
 *
 * @param {ScatterView} view
 */
export function drawScale(view) {
  const { context, height, colour, dimensions, scale, font } = view;
  drawZero(view);
  const wanted = 60 / scale;
  const unit = 10 ** Math.floor(Math.log10(wanted));
  const length = unit * ([5, 2, 1].find((multiple) => multiple * unit <= wanted) ?? 1);
  context.fillStyle = context.strokeStyle = colour.muted;
  context.font = font;
  context.fillText(String(Number(length.toPrecision(1))), 10, height - 12);
  context.beginPath();
  if (dimensions === 2) {
    context.moveTo(8, height - 7);
    context.lineTo(8 + length * scale, height - 7);
  } else {
    context.moveTo(6, height - 8);
    context.lineTo(6, height - 8 - length * scale);
  }
  context.stroke();
}

/**
 * Lines through zero.
 *
 * @param {ScatterView} view
 */
export function drawZero({ context, width, height, colour, dimensions, x, y, up }) {
  const [left, top] = dimensions === 2 ? [x([0, 0], 0), y([0, 0], 0)] : [-1, up(0)];
  context.strokeStyle = colour.line;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, top);
  context.lineTo(width, top);
  context.moveTo(left, 0);
  context.lineTo(left, height);
  context.stroke();
}

/**
 * A dot for each estimate.
 *
 * @param {ScatterView} view
 * @param {ArrayLike<number>} estimates
 * @param {string} colour
 * @param {number} seen opacity.
 * @param {number} [radius]
 */
export function drawDots(view, estimates, colour, seen, radius = 2.2) {
  const { context, dimensions, strip, x, y, up } = view;
  const before = context.globalAlpha;
  context.fillStyle = colour;
  context.globalAlpha = before * seen;
  context.beginPath();
  for (let k = 0; k < estimates.length / dimensions; k++) {
    if (dimensions === 2) {
      traceDisc(context, x(estimates, k), y(estimates, k), radius);
      continue;
    }
    // In a strip the order of the estimates spreads them sideways.
    const across = 0.2 + 0.6 * ((k * 0.618) % 1);
    for (let d = 0; d < dimensions; d++) {
      const top = up(estimates[k * dimensions + d]);
      traceDisc(context, (d + across) * strip, top, 0.73 * radius);
    }
  }
  context.fill();
  context.globalAlpha = before;
}

/**
 * The exact gradient, a cross or a line in each strip.
 *
 * @param {ScatterView} view
 * @param {ArrayLike<number>} exact
 * @param {number} [radius]
 */
export function drawTruth(view, exact, radius = 10) {
  const { context, width, height, colour, dimensions, strip, up } = view;
  const trace = () => {
    context.beginPath();
    if (dimensions === 2) {
      traceCross(context, width / 2, height / 2, radius);
      return;
    }
    for (let d = 0; d < dimensions; d++) {
      context.moveTo((d + 0.1) * strip, up(exact[d]));
      context.lineTo((d + 0.9) * strip, up(exact[d]));
    }
  };
  // A halo of paper keeps the cross apart from the dots.
  for (const [stroke, thickness] of /** @type {[string, number][]} */ ([
    [colour.paper, 6],
    [colour.truth, 2.6],
  ])) {
    trace();
    context.strokeStyle = stroke;
    context.lineWidth = thickness;
    context.stroke();
  }
}

/**
 * The estimate of the draws that are shown, a diamond.
 *
 * @param {ScatterView} view
 * @param {Float64Array} estimate
 */
export function drawEstimate(view, estimate) {
  const { context, colour, dimensions, strip, x, y, up } = view;
  const places =
    dimensions === 2
      ? [[x(estimate, 0), y(estimate, 0)]]
      : Array.from(estimate, (entry, d) => [(d + 0.5) * strip, up(entry)]);
  context.beginPath();
  for (const [left, top] of places) {
    context.moveTo(left - 6, top);
    context.lineTo(left, top - 6);
    context.lineTo(left + 6, top);
    context.lineTo(left, top + 6);
    context.closePath();
  }
  context.fillStyle = colour.ink;
  context.strokeStyle = colour.paper;
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
}
