// Hands on the plane: drag or key the Gaussian, paint the reward; mouse, touch and keyboard alike.

import { axesOf, factorOf } from "./normal.js";
import { LIMIT } from "./reward.js";

/** Standard deviations that a hand can reach, units of the plot. */
const NARROWEST = 0.05;
const WIDEST = 3;
/** An axis has its handle at two standard deviations, but no nearer to the mean than a finger is wide. */
const FINGER = 46; // pixels
/** What one press of a key moves: the mean, a standard deviation, the brush; units of the plot. */
const NUDGE = 0.05;
/** What one press of a key turns, radians. */
const TURN = Math.PI / 60;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** The handles of the Gaussian, and the brush. */
export class Hands {
  #plane;
  #canvas;
  #page;
  #axes = null;
  #brush = { x: 0, y: 0 };

  /**
   * Listen to hands on the plane.
   *
   * @param {HTMLElement} plane the box with the canvas, the handles and the brush.
   * @param {object} page what hands act on: `gaussian()`, `setGaussian(g)`, `tool()`, one of move,
   *     good and bad, `brush()` in units of the plot, `paint(points)`, `hover(x, y)`, nulls at its end.
   */
  constructor(plane, page) {
    this.#plane = plane;
    this.#canvas = plane.querySelector("canvas");
    this.#page = page;
    for (const handle of this.#handles) this.#listenToHandle(handle);
    this.#listenToCanvas();
  }

  get #handles() {
    return this.#plane.querySelectorAll(".handle");
  }

  /** Put the handles where the Gaussian is, and say where that is. */
  place(gaussian) {
    const { deviations, angle } = this.#axesOf(gaussian);
    const text = (value) => value.toFixed(2).replace("-", "−");
    for (const handle of this.#handles) {
      const axis = Number(handle.dataset.handle);
      const isMean = handle.dataset.handle === "mean";
      const [dx, dy] = isMean ? [0, 0] : this.#axisHandle(gaussian, axis);
      const inside = [gaussian.mean[0] + dx, gaussian.mean[1] + dy].map((c) => clamp(c, -LIMIT, LIMIT));
      this.#put(handle, ...inside);
      const degrees = Math.round(((angle + (axis * Math.PI) / 2) * 180) / Math.PI);
      const label = isMean
        ? `Mean ${gaussian.mean.map(text).join(", ")}`
        : `Axis ${axis + 1}: standard deviation ${text(deviations[axis])}, ${degrees}°`;
      handle.setAttribute("aria-label", label);
    }
  }

  #put(thing, x, y) {
    thing.style.left = `${((x + LIMIT) / (2 * LIMIT)) * 100}%`;
    thing.style.top = `${((LIMIT - y) / (2 * LIMIT)) * 100}%`;
  }

  // ---------------------------------------------------------------- the Gaussian

  /** Principal axes, by the names that they had: a hand keeps its axis when it becomes the shorter. */
  #axesOf(gaussian) {
    const known = this.#axes && factorOf(this.#axes);
    const isSame = known?.every((entry, k) => Math.abs(entry - gaussian.factor[k]) < 1e-9);
    if (!isSame) this.#axes = axesOf(gaussian);
    return this.#axes;
  }

  /** Where the handle of an axis is, relative to the mean. */
  #axisHandle(gaussian, axis) {
    const { deviations, angle } = this.#axesOf(gaussian);
    const direction = angle + (axis * Math.PI) / 2;
    const distance = Math.max(2 * deviations[axis], (FINGER * 2 * LIMIT) / this.#canvas.clientWidth);
    return [distance * Math.cos(direction), distance * Math.sin(direction)];
  }

  #moveMean({ mean, factor }, dx, dy) {
    const moved = [clamp(mean[0] + dx, -LIMIT, LIMIT), clamp(mean[1] + dy, -LIMIT, LIMIT)];
    this.#page.setGaussian({ mean: moved, factor });
  }

  /** Give an axis a standard deviation, and turn both axes by an angle, radians. */
  #bend({ mean }, { deviations, angle }, axis, deviation, turn) {
    const bent = [...deviations];
    bent[axis] = clamp(deviation, NARROWEST, WIDEST);
    this.#axes = { deviations: bent, angle: angle + turn };
    this.#page.setGaussian({ mean, factor: factorOf(this.#axes) });
  }

  #listenToHandle(handle) {
    const isMean = handle.dataset.handle === "mean";
    const axis = Number(handle.dataset.handle);
    handle.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      if (isMean) this.#dragMean(handle, event);
      else this.#dragAxis(handle, event, axis);
    });
    handle.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      if (!arrow) return;
      event.preventDefault();
      const [right, up] = arrow.map((direction) => direction * (event.shiftKey ? 5 : 1));
      const gaussian = this.#page.gaussian();
      if (isMean) {
        this.#moveMean(gaussian, NUDGE * right, NUDGE * up);
      } else {
        const axes = this.#axesOf(gaussian);
        this.#bend(gaussian, axes, axis, axes.deviations[axis] + NUDGE * up, -TURN * right);
      }
    });
  }

  #dragMean(element, event) {
    const [startX, startY] = this.#toPlane(event);
    const start = this.#page.gaussian();
    follow(element, event, (move) => {
      const [x, y] = this.#toPlane(move);
      this.#moveMean(start, x - startX, y - startY);
    });
  }

  #dragAxis(element, event, axis) {
    const start = this.#page.gaussian();
    const axes = this.#axesOf(start);
    const from = this.#axisHandle(start, axis);
    const [startX, startY] = this.#toPlane(event);
    follow(element, event, (move) => {
      const [x, y] = this.#toPlane(move);
      const to = [from[0] + x - startX, from[1] + y - startY];
      const turn = Math.atan2(to[1], to[0]) - Math.atan2(from[1], from[0]);
      const longer = (Math.hypot(...to) - Math.hypot(...from)) / 2;
      this.#bend(start, axes, axis, axes.deviations[axis] + longer, turn);
    });
  }

  // ---------------------------------------------------------------- the brush

  #listenToCanvas() {
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      if (this.#page.tool() !== "move") this.#dragBrush(event);
      // A mouse may take the Gaussian anywhere; a finger there scrolls the page.
      else if (event.pointerType !== "touch") this.#dragMean(canvas, event);
    });
    canvas.addEventListener("pointermove", (event) => this.#hover(...this.#toPlane(event)));
    canvas.addEventListener("pointerleave", () => this.#leave());
    canvas.addEventListener("focus", () => this.#hover(this.#brush.x, this.#brush.y));
    canvas.addEventListener("blur", () => this.#leave());

    // The arrow keys move the brush over the focused plane, and the space bar paints.
    canvas.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      const paints = event.key === " " || event.key === "Enter";
      if (this.#page.tool() === "move" || !(arrow || paints)) return;
      event.preventDefault();
      if (arrow) {
        const [dx, dy] = arrow.map((direction) => direction * NUDGE * (event.shiftKey ? 5 : 1));
        const { x, y } = this.#brush;
        this.#hover(clamp(x + dx, -LIMIT, LIMIT), clamp(y + dy, -LIMIT, LIMIT));
      } else {
        this.#page.paint([[this.#brush.x, this.#brush.y]]);
      }
    });
  }

  #dragBrush(event) {
    let last = this.#toPlane(event);
    this.#page.paint([last]);
    follow(this.#canvas, event, (move) => {
      // Discs close enough for a stroke without gaps, however fast the hand.
      const next = this.#toPlane(move);
      const length = Math.hypot(next[0] - last[0], next[1] - last[1]);
      const count = Math.max(1, Math.ceil(length / (this.#page.brush() / 2)));
      const between = (share) => [0, 1].map((d) => last[d] + share * (next[d] - last[d]));
      this.#page.paint(Array.from({ length: count }, (_, k) => between((k + 1) / count)));
      last = next;
    });
  }

  #hover(x, y) {
    this.#brush = { x, y };
    const ring = this.#plane.querySelector(".brush");
    ring.hidden = this.#page.tool() === "move";
    ring.style.width = `${(this.#page.brush() / LIMIT) * 100}%`;
    this.#put(ring, x, y);
    this.#page.hover(x, y);
  }

  #leave() {
    this.#plane.querySelector(".brush").hidden = true;
    this.#page.hover(null, null);
  }

  #toPlane(event) {
    const box = this.#canvas.getBoundingClientRect();
    const scale = (2 * LIMIT) / box.width;
    return [(event.clientX - box.left) * scale - LIMIT, LIMIT - (event.clientY - box.top) * scale];
  }
}

/** Follow one pointer from where it went down until it is lifted. */
function follow(element, event, onMove) {
  const { pointerId } = event;
  element.setPointerCapture(pointerId);
  const move = (next) => {
    if (next.pointerId === pointerId) onMove(next);
  };
  const stop = (end) => {
    if (end.pointerId !== pointerId) return;
    element.removeEventListener("pointermove", move);
    element.removeEventListener("pointerup", stop);
    element.removeEventListener("pointercancel", stop);
  };
  element.addEventListener("pointermove", move);
  element.addEventListener("pointerup", stop);
  element.addEventListener("pointercancel", stop);
}

function clamp(value, least, most) {
  return Math.min(most, Math.max(least, value));
}
