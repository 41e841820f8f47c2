// The plotted square on the page: where a pointer is in it, and where a thing belongs.

import { LIMIT } from "./reward.js";

/** What one press of a key moves, units of the plot. */
export const NUDGE = 0.05;
/**
 * The direction of each arrow key.
 *
 * @type {Record<string, number[]>}
 */
export const ARROWS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

/**
 * Where a pointer is in the plot.
 *
 * @param {HTMLElement} canvas
 * @param {PointerEvent} event
 */
export function toPlane(canvas, { clientX, clientY }) {
  const box = canvas.getBoundingClientRect();
  const scale = (2 * LIMIT) / box.width;
  return [(clientX - box.left) * scale - LIMIT, LIMIT - (clientY - box.top) * scale];
}

/**
 * Put something at a point of the plot.
 *
 * @param {HTMLElement} thing
 * @param {number} x
 * @param {number} y
 */
export function put(thing, x, y) {
  thing.style.left = `${((x + LIMIT) / (2 * LIMIT)) * 100}%`;
  thing.style.top = `${((LIMIT - y) / (2 * LIMIT)) * 100}%`;
}

/**
 * A coordinate, kept on the plot.
 *
 * @param {number} value
 */
export function inside(value) {
  return clamp(value, -LIMIT, LIMIT);
}

/**
 * A number that is changed by hand, kept in a range, or where it was if that is beyond.
 *
 * @param {number} value
 * @param {number} before
 * @param {number} least
 * @param {number} most
 */
export function within(value, before, least, most) {
  return clamp(value, Math.min(least, before), Math.max(most, before));
}

/**
 * A number, kept in a range.
 *
 * @param {number} value
 * @param {number} least
 * @param {number} most
 */
export function clamp(value, least, most) {
  return Math.min(most, Math.max(least, value));
}
