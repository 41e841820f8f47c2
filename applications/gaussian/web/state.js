// The state of the page: one flat record, which is also the link to it.
//
// Everything after the # of the address is a state: fields that it leaves out have their default.

import { BASELINES } from "./estimator.js";
import { choice, flag, integer, number, numbers, numbersIn, word } from "./fields.js";
import { LARGEST_ENTRY, problemOf } from "./normal.js";
import { BUILT_IN, levelsOf } from "./reward.js";

/** @import { Field } from "./fields.js" */

const LARGEST_SAMPLE = 500;
/** The pictures that a lesson has. */
export const LESSONS = 6;

/**
 * All that the page shows.
 *
 * @typedef {object} State
 * @property {string} tab "gaussian" or "moves".
 * @property {string} question whose answer is open.
 * @property {number} lesson the picture of the lesson, from 1; 0 outside of it.
 * @property {string} stage "scores", "weighted", "average" or "step".
 * @property {string} panel what is beside the picture: "cloud", "clouds", "runs" or "terms".
 * @property {string} view "page" or "lecture".
 * @property {number[]} mean [2]
 * @property {number[]} factor [3]
 * @property {number[]} logits [5]
 * @property {string} reward the name of a built-in one, or a picture.
 * @property {number[]} payoffs [5]
 * @property {number} shift
 * @property {number} scale
 * @property {number} samples
 * @property {number} seed
 * @property {number[] | null} draws of one's own, flat.
 * @property {string} gradient "log-density" or "density".
 * @property {string} baseline
 * @property {number} constant
 * @property {number[]} average [sum, mass] of the moving average.
 * @property {number} rate
 * @property {boolean} covariance whether the step changes it.
 */

/** @type {{[Name in keyof State]: Field<State[Name]>}} */
const FIELDS = {
  tab: choice("gaussian", ["gaussian", "moves"]),
  question: word(""),
  lesson: integer(0, 0, LESSONS),
  stage: choice("scores", ["scores", "weighted", "average", "step"]),
  panel: choice("cloud", ["cloud", "clouds", "runs", "terms"]),
  view: choice("page", ["page", "lecture"]),

  // The distribution: of the Gaussian, of the policy.
  mean: numbers([0.35, 0.3], 2, -20, 20),
  factor: numbers([1, 0, 1], 3, -LARGEST_ENTRY, LARGEST_ENTRY),
  logits: numbers([0, 0.5, 1, 0.5, 0], 5, -20, 20),

  // The reward: a picture, or one number for each move; then shift + scale · reward.
  reward: { value: "regions", read: readReward, write: String },
  payoffs: numbers([-1, 1, -1, -0.5, 0.5], 5, -1, 1),
  shift: number(0, -1e15, 1e15),
  scale: number(1, 1e-15, 1e15),

  samples: integer(80, 1, LARGEST_SAMPLE),
  seed: integer(0, 0, 2 ** 31 - 1),
  draws: { value: null, read: readDraws, write: (draws) => (draws ?? []).join(",") },

  gradient: choice("log-density", ["log-density", "density"]),
  baseline: choice("none", BASELINES),
  // A reward is at most twice what it is scaled by, and what it is shifted by.
  constant: number(-1, -1e16, 1e16),
  average: numbers([0, 0], 2, -1e16, 1e16),

  rate: number(3, 0, 1e18),
  covariance: flag(false),
};

const NAMES = /** @type {(keyof State)[]} */ (Object.keys(FIELDS));

/** @type {Readonly<State>} */
export const DEFAULTS = Object.freeze(
  /** @type {State} */ (Object.fromEntries(NAMES.map((name) => [name, FIELDS[name].value]))),
);

/**
 * Whether a state has a field of this name.
 *
 * @param {string} name
 * @returns {name is keyof State}
 */
export function isField(name) {
  return Object.hasOwn(FIELDS, name);
}

/**
 * A state, and what was wrong with what it was made from.
 *
 * @typedef {{state: State, errors: string[]}} Parsed
 */

/**
 * The state that a link's text asks for.
 *
 * @param {string} text what follows the # of an address.
 * @returns {Parsed} a field in error has its default.
 */
export function parseState(text) {
  /** @type {State} */
  const state = { ...DEFAULTS };
  const errors = [];
  for (const [name, value] of new URLSearchParams(text)) {
    if (!isField(name)) {
      errors.push(`this page has no setting “${name}”`);
      continue;
    }
    try {
      Object.assign(state, { [name]: FIELDS[name].read(value) });
    } catch (error) {
      errors.push(`${name}: ${messageOf(error)}; the default is used`);
    }
  }
  return consistent(state, errors);
}

/**
 * The state in a record of any origin: each field is read as if it came in a link.
 *
 * @param {Record<string, any>} record
 * @returns {Parsed}
 */
export function stateFrom(record) {
  const text = new URLSearchParams();
  for (const [name, value] of Object.entries(record)) {
    if (value !== null) text.set(name, typeof value === "boolean" ? String(Number(value)) : value);
  }
  return parseState(text.toString());
}

/**
 * The state with fields that contradict each other set right; what was wrong is added to errors.
 *
 * @param {State} state
 * @param {string[]} [errors]
 * @returns {Parsed}
 */
export function consistent(state, errors = []) {
  const right = { ...state };
  const problem = problemOf(right);
  if (problem) {
    errors.push(`this Gaussian cannot be drawn: ${problem}; the default is used`);
    right.mean = DEFAULTS.mean;
    right.factor = DEFAULTS.factor;
  }
  if (right.lesson > 0 && right.tab === "moves") right.tab = "gaussian"; // which the lesson is about
  if (right.draws) {
    const mistake = mistakeInDraws(right.tab, right.draws);
    if (mistake) {
      errors.push(mistake);
      right.draws = null;
    } else {
      right.samples = right.draws.length / drawSize(right.tab);
    }
  }
  if (right.samples < 2 && ["leave-one-out", "standardized"].includes(right.baseline)) {
    const name = right.baseline === "standardized" ? "standardised" : right.baseline;
    errors.push(`${name} needs at least 2 samples; 2 are drawn`);
    right.samples = 2;
    right.draws = null;
  }
  return { state: right, errors };
}

/**
 * Numbers in one draw.
 *
 * @param {string} tab
 */
export function drawSize(tab) {
  return tab === "gaussian" ? 2 : 1;
}

/**
 * What is wrong with draws of one's own, in words.
 *
 * @param {string} tab
 * @param {number[]} draws
 */
function mistakeInDraws(tab, draws) {
  const size = drawSize(tab);
  const count = draws.length / size;
  if (!Number.isInteger(count) || count < 1 || count > LARGEST_SAMPLE) {
    return `draws: ${draws.length} numbers are not 1 to ${LARGEST_SAMPLE} draws of ${size}`;
  }
  if (tab === "moves" && !draws.every((move) => [0, 1, 2, 3, 4].includes(move))) {
    return "draws: a move is one of 0, 1, 2, 3, 4";
  }
  return "";
}

/**
 * A field's value from the text of its control.
 *
 * @param {keyof State} name
 * @param {string} text
 * @param {State} state for fields of several numbers, of which the text is one.
 * @param {string} [index] which one.
 * @returns {Partial<State>}
 * @throws {Error} what is wrong with the text.
 */
export function fieldFrom(name, text, state, index) {
  if (index === undefined) return { [name]: FIELDS[name].read(text) };
  const values = [.../** @type {number[]} */ (state[name])];
  values[Number(index)] = Number(text);
  return { [name]: FIELDS[name].read(values.join(",")) };
}

/**
 * The text of a state: the fields that differ from their defaults.
 *
 * @param {State} state
 */
export function formatState(state) {
  const parts = new URLSearchParams();
  for (const name of NAMES) {
    if (state[name] === null) continue;
    const text = written(name, state[name]);
    const isDefault = DEFAULTS[name] !== null && text === written(name, DEFAULTS[name]);
    if (!isDefault) parts.set(name, text);
  }
  return parts.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
}

/**
 * The names of the fields in which two states differ.
 *
 * @param {State} one
 * @param {State} other
 */
export function differences(one, other) {
  return NAMES.filter((name) => String(one[name]) !== String(other[name]));
}

/**
 * A field's value as text.
 *
 * @param {keyof State} name
 * @param {any} value
 */
function written(name, value) {
  return /** @type {Field<any>} */ (FIELDS[name]).write(value);
}

/**
 * What an error says.
 *
 * @param {unknown} error
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Draws in a text.
 *
 * @param {string} text
 */
function readDraws(text) {
  const draws = numbersIn(text);
  if (draws.length === 0) throw new Error("there are none");
  return draws;
}

/**
 * A reward that is one, in its own text.
 *
 * @param {string} text
 */
function readReward(text) {
  if (!Object.hasOwn(BUILT_IN, text)) levelsOf(text); // throws what is wrong with it
  return text;
}
