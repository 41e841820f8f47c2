// The learning curves: expected reward against steps, one line a run.

import { prepared, traceDisc } from "./canvas.js";
import { meanOf } from "./estimator.js";
import { amount, counted, digitsFor, size } from "./numbers.js";
import { nameOf } from "./sentences.js";

/** @import { Sheet } from "./canvas.js" */
/** @import { Course } from "./courses.js" */
/** @import { State } from "./state.js" */

/** Least room around the axes, pixels. */
const ROOM = { left: 34, right: 10, top: 10, bottom: 22 };
/** Dashes tell runs apart where colours do not. */
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 2], [12, 4]];

/** Steps at the end of a run that are averaged. */
const LAST = 20;

/** The canvas of the curves, and the list of runs under it. */
export class Curve {
  #canvas;
  #list;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} list
   */
  constructor(canvas, list) {
    this.#canvas = canvas;
    this.#list = list;
  }

  /**
   * Draw the courses of a tab.
   *
   * @param {Course[]} all
   * @param {State} state for the tab, and the range of the reward.
   */
  draw(all, { tab, shift, scale }) {
    const courses = all.filter((course) => course.tab === tab);
    const sheet = prepared(this.#canvas);
    const steps = Math.max(10, ...courses.map(({ rewards }) => rewards.length - 1));
    const rewards = courses.flatMap((course) => [
      ...course.rewards,
      ...course.breaks.map(({ reward }) => reward),
    ]);
    const [low, high] = roundRange(rewards.length > 0 ? rewards : [shift - scale, shift + scale]);
    const marks = [low, (low + high) / 2, high].map((reward) => ({
      reward,
      text: markText(reward, (high - low) / 2),
    }));
    sheet.context.font = sheet.font;
    const widths = marks.map(({ text }) => sheet.context.measureText(text).width);
    const left = Math.max(ROOM.left, Math.max(...widths) + 9);
    const width = sheet.width - left - ROOM.right;
    const height = sheet.height - ROOM.top - ROOM.bottom;
    const x = (/** @type {number} */ step) => left + (width * step) / steps;
    const y = (/** @type {number} */ reward) =>
      ROOM.top + (height * (high - reward)) / (high - low);
    drawFrame(sheet, x, y, steps, marks);
    for (const course of courses) drawCourse(sheet, course, x, y);
    this.#canvas.setAttribute("aria-label", `Expected reward by step: ${listed(courses)}`);
    this.#write(courses);
  }

  /** @param {Course[]} courses */
  #write(courses) {
    const texts = courses.map(textOfCourse);
    const known = this.#list.dataset.text;
    if (known === texts.join()) return;
    this.#list.dataset.text = texts.join();
    this.#list.replaceChildren(
      ...courses.map((course, k) => {
        const line = document.createElement("li");
        line.style.setProperty("--run", `var(--run${course.colour})`);
        line.innerHTML = `<svg aria-hidden="true"><path d="M0,3H26" stroke-dasharray="${DASHES[course.colour]}"/></svg>`;
        line.append(texts[k]);
        return line;
      }),
    );
  }
}

/**
 * The range of numbers, widened to multiples of a round unit.
 *
 * @param {number[]} numbers
 */
export function roundRange(numbers) {
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  const span = Math.max(most - least, 1e-3 * Math.max(Math.abs(least), Math.abs(most))) || 1;
  const ten = 10 ** Math.floor(Math.log10(span / 2));
  const unit = ten * ([5, 2, 1].find((multiple) => multiple * ten <= span / 2) ?? 1);
  const low = Math.floor(least / unit + 1e-9) * unit;
  const high = Math.max(Math.ceil(most / unit - 1e-9) * unit, low + unit);
  return [low, high].map((end) => Number(end.toPrecision(12)));
}

/** @param {Course[]} courses */
function listed(courses) {
  return courses.map(textOfCourse).join("; ") || "no steps taken yet";
}

/** @param {Course} course */
export function textOfCourse({ baseline, samples, draws, rewards, breaks, state, end }) {
  const steps = rewards.length - 1;
  const { scale } = state;
  const last = amount(rewards[rewards.length - 1], scale);
  const settled = amount(meanOf(rewards.slice(-LAST)), scale);
  const late = rewards.length > LAST ? ` (mean of the last ${LAST}: ${settled})` : "";
  const stop = end ? `, then ${end}` : "";
  const isEven = draws === steps * samples;
  const length = isEven
    ? `${steps} × ${samples} draws`
    : `${steps} steps, ${counted(draws, "draw")}`;
  return `${nameOf(baseline)}: ${last} after ${length}${breaksOf(breaks)}${late}${stop}`;
}

/** @param {Course["breaks"]} breaks */
function breaksOf(breaks) {
  if (breaks.length === 0) return "";
  const [first, last] = [breaks[0].step, breaks[breaks.length - 1].step];
  const steps = first === last ? `step ${first}` : `steps ${first} to ${last}`;
  return `, settings changed after ${steps} (○)`;
}

/**
 * A reward at the axis, with the digits that tell it from its neighbours.
 *
 * @param {number} reward
 * @param {number} distance to the next.
 */
export function markText(reward, distance) {
  return size(Number(reward.toFixed(Math.max(0, digitsFor(distance) - 1))), 15);
}

/**
 * The axes, with their names.
 *
 * @param {Sheet} sheet
 * @param {(step: number) => number} x
 * @param {(reward: number) => number} y
 * @param {number} steps
 * @param {{reward: number, text: string}[]} marks the lowest first.
 */
function drawFrame({ context, colour, font }, x, y, steps, marks) {
  context.font = font;
  context.fillStyle = colour.muted;
  context.strokeStyle = colour.line;
  context.lineWidth = 1;
  for (const { reward, text } of marks) {
    context.beginPath();
    context.moveTo(x(0), y(reward));
    context.lineTo(x(steps), y(reward));
    context.stroke();
    context.textAlign = "right";
    context.fillText(text, x(0) - 5, y(reward) + 4);
  }
  const bottom = y(marks[0].reward) + 15;
  context.textAlign = "left";
  context.fillText("0", x(0), bottom);
  context.textAlign = "center";
  context.fillText("steps", x(steps / 2), bottom);
  context.textAlign = "right";
  context.fillText(String(steps), x(steps), bottom);
  context.textAlign = "left";
}

/**
 * One line, and a disc at its end.
 *
 * @param {Sheet} sheet
 * @param {Course} course
 * @param {(step: number) => number} x
 * @param {(reward: number) => number} y
 */
function drawCourse({ context, colour }, { rewards, breaks, colour: index }, x, y) {
  context.strokeStyle = context.fillStyle = colour[`run${index}`];
  context.lineWidth = 2;
  context.setLineDash(DASHES[index]);
  context.beginPath();
  rewards.forEach((reward, step) => {
    if (step === 0) context.moveTo(x(step), y(reward));
    else context.lineTo(x(step), y(reward));
    const broken = breaks.find((own) => own.step === step);
    if (broken) context.moveTo(x(step), y(broken.reward));
  });
  context.stroke();
  context.setLineDash([]);
  for (const { step, reward } of breaks) {
    context.beginPath();
    traceDisc(context, x(step), y(reward), 3);
    context.stroke();
  }
  context.beginPath();
  traceDisc(context, x(rewards.length - 1), y(rewards[rewards.length - 1]), 3);
  context.fill();
}
