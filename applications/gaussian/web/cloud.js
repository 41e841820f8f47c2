// The picture of the noise: repeated estimates around the exact gradient.

import { colours, prepared, traceCross, traceDisc } from "./canvas.js";
import { Glide } from "./motion.js";

/** A cloud that is so much smaller than its canvas is drawn larger. */
const SHRUNK = 15;

/** The canvas of the cloud. */
export class Cloud {
  #canvas;
  #dots = new Glide();
  #reach = 0;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Whether a dot still glides. */
  get moves() {
    return this.#dots.moves;
  }

  /** Set what to draw: the estimates with the chosen baseline, from the same draws as without. */
  show(experiment, glides) {
    this.#dots.goTo(experiment.chosen.estimates, glides);
  }

  /** Choose the scale afresh at the next drawing. */
  rescale() {
    this.#reach = 0;
  }

  /** The scale stays for as long as it can, so that a cloud can be seen to shrink. */
  #fit({ none, chosen, exact, dimensions }) {
    const [farthest] = [none, chosen]
      .map(({ estimates }) => estimates.map((entry, k) => Math.abs(entry - exact[k % dimensions])))
      .map((distances) => distances.sort()[Math.floor(0.995 * distances.length)] || 1)
      .sort((a, b) => b - a);
    if (farthest > this.#reach || farthest < this.#reach / SHRUNK) this.#reach = farthest;
    return this.#reach;
  }

  /** Draw an experiment's estimates: in the plane of two components, or a strip for each of more. */
  draw(experiment, isBaseline, opacity) {
    const { context, width, height } = prepared(this.#canvas);
    const axes = axesFor(experiment, this.#fit(experiment), width, height);
    const view = { context, width, height, axes, colour: colours(), dimensions: experiment.dimensions };
    context.globalAlpha = opacity;
    drawAxes(view);
    if (isBaseline) drawDots(view, experiment.none.estimates, view.colour.muted, 0.3);
    drawDots(view, this.#dots.now(), view.colour.density, 0.55);
    drawTruth(view, experiment.exact);
    drawEstimate(view, experiment.estimate);
    context.globalAlpha = 1;
  }
}

/** How estimates come to the screen: the exact gradient in the middle, `reach` at the edge. */
function axesFor({ exact, dimensions }, reach, width, height) {
  const scale = (0.46 * Math.min(width, height)) / reach;
  const strip = width / dimensions;
  const low = Math.min(...exact) - reach;
  const high = Math.max(...exact) + reach;
  if (dimensions === 2) {
    return {
      scale,
      x: (values, k) => width / 2 + scale * (values[2 * k] - exact[0]),
      y: (values, k) => height / 2 - scale * (values[2 * k + 1] - exact[1]),
      zero: [width / 2 - scale * exact[0], height / 2 + scale * exact[1]],
    };
  }
  return {
    scale: (0.92 * height) / (high - low),
    strip,
    y: (value) => height * (0.04 + (0.92 * (high - value)) / (high - low)),
  };
}

function drawAxes({ context, width, height, axes, colour, dimensions }) {
  context.strokeStyle = colour.line;
  context.lineWidth = 1;
  context.beginPath();
  const [x, y] = dimensions === 2 ? axes.zero : [-1, axes.y(0)];
  context.moveTo(0, y);
  context.lineTo(width, y);
  context.moveTo(x, 0);
  context.lineTo(x, height);
  context.stroke();

  // A bar of a round length tells the scale.
  const wanted = 60 / axes.scale;
  const unit = 10 ** Math.floor(Math.log10(wanted));
  const length = unit * [5, 2, 1].find((multiple) => multiple * unit <= wanted);
  context.fillStyle = context.strokeStyle = colour.muted;
  context.font = "11px system-ui, sans-serif";
  context.fillText(String(Number(length.toPrecision(1))), 10, height - 12);
  context.beginPath();
  if (dimensions === 2) {
    context.moveTo(8, height - 7);
    context.lineTo(8 + length * axes.scale, height - 7);
  } else {
    context.moveTo(6, height - 8);
    context.lineTo(6, height - 8 - length * axes.scale);
  }
  context.stroke();
}

function drawDots({ context, axes, dimensions }, estimates, colour, seen) {
  const before = context.globalAlpha;
  context.fillStyle = colour;
  context.globalAlpha = before * seen;
  context.beginPath();
  for (let k = 0; k < estimates.length / dimensions; k++) {
    if (dimensions === 2) {
      traceDisc(context, axes.x(estimates, k), axes.y(estimates, k), 2.2);
      continue;
    }
    // In a strip the order of the estimates spreads them sideways.
    const across = 0.2 + 0.6 * ((k * 0.618) % 1);
    for (let d = 0; d < dimensions; d++) {
      traceDisc(context, (d + across) * axes.strip, axes.y(estimates[k * dimensions + d]), 1.6);
    }
  }
  context.fill();
  context.globalAlpha = before;
}

function drawTruth({ context, width, height, axes, colour, dimensions }, exact) {
  const trace = () => {
    context.beginPath();
    if (dimensions === 2) {
      traceCross(context, width / 2, height / 2, 10);
      return;
    }
    exact.forEach((entry, d) => {
      context.moveTo((d + 0.1) * axes.strip, axes.y(entry));
      context.lineTo((d + 0.9) * axes.strip, axes.y(entry));
    });
  };
  // A halo of paper keeps the cross apart from the dots.
  for (const [stroke, thickness] of [[colour.paper, 6], [colour.truth, 2.6]]) {
    trace();
    context.strokeStyle = stroke;
    context.lineWidth = thickness;
    context.stroke();
  }
}

function drawEstimate({ context, axes, colour, dimensions }, estimate) {
  const places =
    dimensions === 2
      ? [[axes.x(estimate, 0), axes.y(estimate, 0)]]
      : Array.from(estimate, (entry, d) => [(d + 0.5) * axes.strip, axes.y(entry)]);
  context.beginPath();
  for (const [x, y] of places) {
    context.moveTo(x - 6, y);
    context.lineTo(x, y - 6);
    context.lineTo(x + 6, y);
    context.lineTo(x, y + 6);
    context.closePath();
  }
  context.fillStyle = colour.ink;
  context.strokeStyle = colour.paper;
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
}
