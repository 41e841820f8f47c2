// What the canvases share: sharp pixels, the colours of the style sheet, arrows, crosses, words.

/** Words in a picture are no smaller, pixels. */
const SMALLEST_WORDS = 11;

/**
 * A canvas that is ready to be drawn on.
 *
 * @typedef {object} Sheet
 * @property {CanvasRenderingContext2D} context in CSS pixels.
 * @property {number} width
 * @property {number} height
 * @property {Colours} colour
 * @property {string} font of words, which grow with the canvas.
 */

/** @typedef {Record<string, string>} Colours */

/**
 * Fit a canvas to its place on the page, and clear it.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {Sheet}
 */
export function prepared(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = devicePixelRatio;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser draws no pictures");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const size = Math.max(SMALLEST_WORDS, Math.round(width / 45));
  const font = `${size}px system-ui, sans-serif`;
  return { context, width, height, colour: colours(), font };
}

const COLOURS =
  "ink muted paper line meant density score good bad truth low high run0 run1 run2 run3 run4 run5";

/**
 * The colours of the style sheet, as they are in the light or in the dark.
 *
 * @returns {Colours}
 */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(
    COLOURS.split(" ").map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  );
}

/**
 * Write words on a halo of paper, so that they can be read on anything.
 *
 * @param {Sheet} sheet
 * @param {string} words
 * @param {number} x
 * @param {number} y
 * @param {string} colour
 */
export function writeOn({ context, colour: { paper } }, words, x, y, colour) {
  context.lineJoin = "round";
  context.lineWidth = 3;
  context.strokeStyle = paper;
  context.strokeText(words, x, y);
  context.fillStyle = colour;
  context.fillText(words, x, y);
}

/**
 * Add an arrow to the present path: a line, and a head no longer than a third of it.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} dx
 * @param {number} dy
 * @param {number} head
 */
export function traceArrow(context, x, y, dx, dy, head) {
  const length = Math.hypot(dx, dy);
  if (length < 0.5) return;
  const [ux, uy] = [dx / length, dy / length];
  const size = Math.min(head, length / 2);
  const [tipX, tipY] = [x + dx, y + dy];
  context.moveTo(x, y);
  context.lineTo(tipX - size * ux, tipY - size * uy);
  context.moveTo(tipX, tipY);
  context.lineTo(tipX - size * ux - 0.45 * size * uy, tipY - size * uy + 0.45 * size * ux);
  context.lineTo(tipX - size * ux + 0.45 * size * uy, tipY - size * uy - 0.45 * size * ux);
  context.lineTo(tipX, tipY);
}

/**
 * Add a disc to the present path.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 */
export function traceDisc(context, x, y, radius) {
  context.moveTo(x + radius, y);
  context.arc(x, y, radius, 0, 2 * Math.PI);
}

/**
 * Add a cross to the present path, upright or lying.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {boolean} [lying]
 */
export function traceCross(context, x, y, radius, lying = false) {
  const [a, b] = lying ? [radius, radius] : [radius, 0];
  context.moveTo(x - a, y - b);
  context.lineTo(x + a, y + b);
  context.moveTo(x + b, y - a);
  context.lineTo(x - b, y + a);
}
