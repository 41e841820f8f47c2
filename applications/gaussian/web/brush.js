// Hands on the canvas of the plane: paint the reward, guess the gradient, point at a sample.

import { first } from "./elements.js";
import { follow } from "./follow.js";
import { ARROWS, inside, NUDGE, put, toPlane } from "./plot.js";
import { LIMIT } from "./reward.js";

/** @import { Desk } from "./hands.js" */

/** The canvas, and the ring that shows the brush. */
export class Brush {
  /** @type {HTMLCanvasElement} */
  #canvas;
  #desk;
  #takeMean;
  #ring = first(".plane .brush");
  #brush = [0, 0];

  /**
   * Listen to hands on the canvas.
   *
   * @param {HTMLCanvasElement} canvas of the plane.
   * @param {Desk} desk
   * @param {(event: PointerEvent) => void} takeMean drags the mean from anywhere.
   */
  constructor(canvas, desk, takeMean) {
    this.#canvas = canvas;
    this.#desk = desk;
    this.#takeMean = takeMean;
    this.#listen();
  }

  #listen() {
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      const tool = this.#desk.tool();
      if (tool === "guess") this.#dragGuess(event);
      else if (tool !== "move") this.#dragBrush(event);
      // A mouse may take the Gaussian anywhere; a finger there scrolls the page.
      else if (event.pointerType !== "touch") this.#takeMean(event);
    });

    // Handles lie above the canvas: what is under them is pointed at all the same.
    const plane = first(".plane");
    plane.addEventListener("pointermove", (event) => this.#hover(toPlane(canvas, event)));
    // A finger that taps points, too, until it taps elsewhere; one that scrolls does not.
    plane.addEventListener("pointerdown", (event) => this.#hover(toPlane(canvas, event)));
    plane.addEventListener(
      "pointerleave",
      (event) => event.pointerType !== "touch" && this.#leave(),
    );
    plane.addEventListener("pointercancel", () => this.#leave());
    canvas.addEventListener("focus", () => this.#hover(this.#brush));
    canvas.addEventListener("blur", () => this.#leave());
    canvas.addEventListener("keyup", () => this.#desk.end(false));

    // The arrow keys move the brush over the focused plane, and the space bar paints or guesses.
    canvas.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      const acts = event.key === " " || event.key === "Enter";
      if (this.#desk.tool() === "move" || !(arrow || acts)) return;
      event.preventDefault();
      if (arrow) {
        const [dx, dy] = arrow.map((direction) => direction * NUDGE * (event.shiftKey ? 5 : 1));
        this.#hover([inside(this.#brush[0] + dx), inside(this.#brush[1] + dy)]);
      } else if (this.#desk.tool() === "guess") {
        this.#guess(this.#brush, true);
      } else {
        this.#desk.paint([this.#brush]);
      }
    });
  }

  /** @param {PointerEvent} event */
  #dragBrush(event) {
    let last = toPlane(this.#canvas, event);
    this.#desk.paint([last]);
    follow(this.#canvas, event, {
      move: (next) => {
        // Discs close enough for a stroke without gaps, however fast the hand.
        const to = toPlane(this.#canvas, next);
        const from = last;
        const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
        const count = Math.max(1, Math.ceil(length / (this.#desk.brush() / 2)));
        const stroke = Array.from({ length: count }, (_, k) =>
          [0, 1].map((d) => from[d] + ((k + 1) / count) * (to[d] - from[d])),
        );
        this.#desk.paint(stroke);
        last = to;
      },
      end: (isCancelled) => this.#desk.end(isCancelled),
    });
  }

  /** @param {PointerEvent} event */
  #dragGuess(event) {
    let last = toPlane(this.#canvas, event);
    this.#guess(last, false);
    follow(this.#canvas, event, {
      move: (next) => {
        last = toPlane(this.#canvas, next);
        this.#guess(last, false);
      },
      end: (isCancelled) => this.#guess(isCancelled ? this.#desk.gaussian().mean : last, true),
    });
  }

  /**
   * @param {number[]} tip
   * @param {boolean} isDone
   */
  #guess(tip, isDone) {
    const { mean } = this.#desk.gaussian();
    this.#desk.guess([tip[0] - mean[0], tip[1] - mean[1]], isDone);
  }

  /** @param {number[]} at */
  #hover(at) {
    this.#brush = at;
    const tool = this.#desk.tool();
    this.#ring.hidden = tool === "move" || tool === "guess";
    this.#ring.style.width = `${(this.#desk.brush() / LIMIT) * 100}%`;
    put(this.#ring, at[0], at[1]);
    this.#desk.hover(at);
  }

  #leave() {
    this.#ring.hidden = true;
    this.#desk.hover(null);
  }
}
