// Hands on the Gaussian: drag its mean and axes, or move them by keys; mouse, touch and keyboard
// alike.

import { elements } from "./elements.js";
import { follow } from "./follow.js";
import { axesOf, factorOf } from "./normal.js";
import { ARROWS, inside, NUDGE, put, toPlane, within } from "./plot.js";
import { LIMIT } from "./reward.js";

/** @import { Axes, Gaussian } from "./normal.js" */

/** Standard deviations that a hand can reach, units of the plot. */
const NARROWEST = 0.05;
const WIDEST = 3;
/** An axis has its handle at two standard deviations, but no nearer than a finger is wide. */
const FINGER = 46; // pixels
/** What one press of a key turns, radians. */
const TURN = Math.PI / 60;

/**
 * What hands act on.
 *
 * @typedef {object} Desk
 * @property {() => Gaussian} gaussian
 * @property {() => void} take the Gaussian in hand: nothing else moves it from now on.
 * @property {(gaussian: Gaussian) => void} setGaussian as a part of the present gesture.
 * @property {() => string} tool "move", "guess", "good" or "bad".
 * @property {() => number} brush its radius, units of the plot.
 * @property {(stroke: number[][]) => void} paint
 * @property {(vector: number[], isDone: boolean) => void} guess
 * @property {(at: number[] | null) => void} hover
 * @property {(isCancelled: boolean) => void} end a gesture.
 */

/** The handles of the Gaussian. */
export class Hands {
  #desk;
  /** @type {HTMLCanvasElement} */
  #canvas;
  #handles;
  /** @type {Axes | null} */
  #axes = null;

  /**
   * Listen to hands on the handles.
   *
   * @param {HTMLCanvasElement} canvas of the plane.
   * @param {Desk} desk
   */
  constructor(canvas, desk) {
    this.#desk = desk;
    this.#canvas = canvas;
    this.#handles = elements(".plane .handle");
    for (const handle of this.#handles) this.#listenToHandle(handle);
  }

  /**
   * Put the handles where the Gaussian is, and say where that is.
   *
   * @param {Gaussian} gaussian
   */
  place(gaussian) {
    const { deviations, angle } = this.#axesOf(gaussian);
    const text = (/** @type {number} */ value) => value.toFixed(2).replace("-", "−");
    for (const handle of this.#handles) {
      const axis = axisOf(handle);
      const isMean = axis < 0;
      const away = isMean ? [0, 0] : this.#axisHandle(gaussian, axis);
      put(handle, inside(gaussian.mean[0] + away[0]), inside(gaussian.mean[1] + away[1]));
      const degrees = Math.round(((angle + (axis * Math.PI) / 2) * 180) / Math.PI);
      const label = isMean
        ? `Mean ${gaussian.mean.map(text).join(", ")}`
        : `Axis ${axis + 1}: standard deviation ${text(deviations[axis])}, ${degrees}°`;
      handle.setAttribute("aria-label", label);
    }
  }

  // ---------------------------------------------------------------- the Gaussian

  /**
   * Principal axes, by the names that they had: a hand keeps its axis when it becomes the shorter.
   *
   * @param {Gaussian} gaussian
   * @returns {Axes}
   */
  #axesOf(gaussian) {
    const known = this.#axes && factorOf(this.#axes);
    const isSame = known?.every((entry, k) => Math.abs(entry - gaussian.factor[k]) < 1e-9);
    if (!isSame || !this.#axes) this.#axes = axesOf(gaussian);
    return this.#axes;
  }

  /**
   * Where the handle of an axis is, relative to the mean.
   *
   * @param {Gaussian} gaussian
   * @param {number} axis
   */
  #axisHandle(gaussian, axis) {
    const { deviations, angle } = this.#axesOf(gaussian);
    const direction = angle + (axis * Math.PI) / 2;
    const nearest = (FINGER * 2 * LIMIT) / this.#canvas.clientWidth;
    const distance = Math.max(2 * deviations[axis], nearest);
    return [distance * Math.cos(direction), distance * Math.sin(direction)];
  }

  /**
   * @param {Gaussian} gaussian
   * @param {number} dx
   * @param {number} dy
   */
  #moveMean({ mean: [x, y], factor }, dx, dy) {
    this.#desk.setGaussian({
      mean: [within(x + dx, x, -LIMIT, LIMIT), within(y + dy, y, -LIMIT, LIMIT)],
      factor,
    });
  }

  /**
   * Give an axis a standard deviation, and turn both axes by an angle, radians.
   *
   * @param {Gaussian} gaussian
   * @param {Axes} axes
   * @param {number} axis
   * @param {number} deviation
   * @param {number} turn
   */
  #bend({ mean }, { deviations, angle }, axis, deviation, turn) {
    const bent = [...deviations];
    bent[axis] = within(deviation, deviations[axis], NARROWEST, WIDEST);
    this.#axes = { deviations: bent, angle: angle + turn };
    this.#desk.setGaussian({ mean, factor: factorOf(this.#axes) });
  }

  /** @param {HTMLElement} handle */
  #listenToHandle(handle) {
    const axis = axisOf(handle);
    handle.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      if (axis < 0) this.dragMean(handle, event);
      else this.#dragAxis(handle, event, axis);
    });
    handle.addEventListener("keyup", () => this.#desk.end(false));
    handle.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      if (!arrow) return;
      event.preventDefault();
      const [right, up] = arrow.map((direction) => direction * (event.shiftKey ? 5 : 1));
      const gaussian = this.#desk.gaussian();
      if (axis < 0) {
        this.#moveMean(gaussian, NUDGE * right, NUDGE * up);
      } else {
        const axes = this.#axesOf(gaussian);
        this.#bend(gaussian, axes, axis, axes.deviations[axis] + NUDGE * up, -TURN * right);
      }
    });
  }

  /**
   * Drag the mean.
   *
   * @param {HTMLElement} element that was taken.
   * @param {PointerEvent} event with which it was.
   */
  dragMean(element, event) {
    this.#drag(element, event, (start, from, to) => {
      this.#moveMean(start, to[0] - from[0], to[1] - from[1]);
    });
  }

  /**
   * @param {HTMLElement} element
   * @param {PointerEvent} event
   * @param {number} axis
   */
  #dragAxis(element, event, axis) {
    this.#drag(element, event, (start, from, to, axes) => {
      this.#axes = axes;
      const old = this.#axisHandle(start, axis);
      const next = [old[0] + to[0] - from[0], old[1] + to[1] - from[1]];
      const turn = Math.atan2(next[1], next[0]) - Math.atan2(old[1], old[0]);
      const longer = (Math.hypot(...next) - Math.hypot(...old)) / 2;
      this.#bend(start, axes, axis, axes.deviations[axis] + longer, turn);
    });
  }

  /**
   * Drag from where the Gaussian is; where the plane changes its place or size, from there anew.
   *
   * @param {HTMLElement} element
   * @param {PointerEvent} event
   * @param {(start: Gaussian, from: number[], to: number[], axes: Axes) => void} move
   */
  #drag(element, event, move) {
    this.#desk.take();
    const begin = (/** @type {PointerEvent} */ at) => {
      const gaussian = this.#desk.gaussian();
      const axes = this.#axesOf(gaussian);
      return { gaussian, axes, from: toPlane(this.#canvas, at), box: this.#box() };
    };
    let start = begin(event);
    let last = start.gaussian;
    follow(element, event, {
      move: (next) => {
        // The hand goes on from where the Gaussian is, should anything else have moved it.
        const { mean, factor } = this.#desk.gaussian();
        const isMoved = mean !== last.mean || factor !== last.factor;
        if (isMoved || this.#box() !== start.box) start = begin(next);
        move(start.gaussian, start.from, toPlane(this.#canvas, next), start.axes);
        last = this.#desk.gaussian();
      },
      end: (isCancelled) => this.#desk.end(isCancelled),
    });
  }

  /** The place and size of the plane, as a text. */
  #box() {
    const { left, top, width } = this.#canvas.getBoundingClientRect();
    return `${left + scrollX} ${top + scrollY} ${width}`;
  }
}

/**
 * The axis of a handle; −1 for the mean.
 *
 * @param {HTMLElement} handle
 */
function axisOf(handle) {
  return handle.dataset.handle === "mean" ? -1 : Number(handle.dataset.handle);
}
