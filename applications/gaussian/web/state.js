// The state of the page: one flat record, which is also the link to it.
//
// Everything after the # of the address is a state: fields that it leaves out have their default.

import { BASELINES } from "./estimator.js";
import { problemOf } from "./normal.js";
import { BUILT_IN, levelsOf } from "./reward.js";

const LARGEST_SAMPLE = 500;

/** How each field is read from text and written back; `read` throws what is wrong with a text. */
const FIELDS = {
  tab: choice("gaussian", ["gaussian", "moves"]),
  question: choice("", null),
  stage: choice("scores", ["scores", "weighted", "average", "step"]),

  // The distribution: of the Gaussian, of the policy.
  mean: numbers([0.35, 0.3], 2, -20, 20),
  factor: numbers([1, 0, 1], 3, -20, 20),
  logits: numbers([0, 0.5, 1, 0.5, 0], 5, -20, 20),

  // The reward: a picture, or one number for each move; then shift + scale · reward.
  reward: { value: "regions", read: readReward, write: String },
  payoffs: numbers([-1, 1, -1, -0.5, 0.5], 5, -1, 1),
  shift: number(0, -1e15, 1e15),
  scale: number(1, 1e-15, 1e15),

  samples: integer(80, 1, LARGEST_SAMPLE),
  seed: integer(0, 0, 2 ** 31 - 1),
  draws: { value: null, read: readDraws, write: (draws) => draws.join(",") },

  gradient: choice("log-density", ["log-density", "density"]),
  baseline: choice("none", BASELINES),
  constant: number(-1, -1e15, 1e15),
  average: numbers([0, 0], 2, -1e15, 1e15),

  rate: number(3, 0, 1e18),
  covariance: { value: false, read: (text) => text === "1", write: (value) => (value ? "1" : "0") },
};

export const DEFAULTS = Object.freeze(
  Object.fromEntries(Object.entries(FIELDS).map(([name, field]) => [name, field.value])),
);

/**
 * The state that a link's text asks for.
 *
 * @param {string} text what follows the # of an address.
 * @returns {{state: object, errors: string[]}} a field in error has its default.
 */
export function parseState(text) {
  const state = { ...DEFAULTS };
  const errors = [];
  for (const [name, value] of new URLSearchParams(text)) {
    if (!Object.hasOwn(FIELDS, name)) {
      errors.push(`this page has no setting “${name}”`);
      continue;
    }
    try {
      state[name] = FIELDS[name].read(value);
    } catch (error) {
      errors.push(`${name}: ${error.message}; the default is used`);
    }
  }
  return consistent(state, errors);
}

/**
 * The state in a record of any origin: each field is read as if it came in a link.
 *
 * @param {object} record
 * @returns {{state: object, errors: string[]}}
 */
export function stateFrom(record) {
  const text = new URLSearchParams();
  for (const [name, value] of Object.entries(record)) {
    if (value !== null) text.set(name, typeof value === "boolean" ? Number(value) : value);
  }
  return parseState(text.toString());
}

/** The state with fields that contradict each other set right; what was wrong is added to errors. */
export function consistent(state, errors = []) {
  const right = { ...state };
  const problem = problemOf(right);
  if (problem) {
    errors.push(`this Gaussian cannot be drawn: ${problem}; the default is used`);
    [right.mean, right.factor] = [DEFAULTS.mean, DEFAULTS.factor];
  }
  if (right.draws) {
    const mistake = mistakeInDraws(right);
    if (mistake) {
      errors.push(mistake);
      right.draws = null;
    } else {
      right.samples = right.draws.length / (right.tab === "gaussian" ? 2 : 1);
    }
  }
  if (right.samples < 2 && ["leave-one-out", "standardized"].includes(right.baseline)) {
    errors.push(`${right.baseline} needs at least 2 samples; 2 are drawn`);
    [right.samples, right.draws] = [2, null];
  }
  return { state: right, errors };
}

function mistakeInDraws({ tab, draws }) {
  const perDraw = tab === "gaussian" ? 2 : 1;
  const count = draws.length / perDraw;
  if (!Number.isInteger(count) || count < 1 || count > LARGEST_SAMPLE) {
    return `draws: ${draws.length} numbers are not 1 to ${LARGEST_SAMPLE} draws of ${perDraw}`;
  }
  if (tab === "moves" && !draws.every((move) => [0, 1, 2, 3, 4].includes(move))) {
    return "draws: a move is one of 0, 1, 2, 3, 4";
  }
  return "";
}

/**
 * A field's value from the text of its control.
 *
 * @param {string} name of the field.
 * @param {string} text
 * @param {object} state for fields of several numbers, of which the text is one.
 * @param {string} [index] which one.
 * @throws {Error} what is wrong with the text.
 */
export function fieldFrom(name, text, state, index) {
  if (index === undefined) return FIELDS[name].read(text);
  const values = [...state[name]];
  values[Number(index)] = Number(text);
  return FIELDS[name].read(values.join(","));
}

/** The text of a state: the fields that differ from their defaults. */
export function formatState(state) {
  const parts = new URLSearchParams();
  for (const [name, field] of Object.entries(FIELDS)) {
    if (state[name] === null) continue;
    const text = field.write(state[name]);
    if (field.value === null || text !== field.write(field.value)) parts.set(name, text);
  }
  return parts.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
}

/** Finite numbers in a text, whatever separates them. */
export function numbersIn(text) {
  const words = text.split(/[\s,;]+/).filter((word) => word !== "");
  const values = words.map(Number);
  const wrong = values.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw new Error(`“${words[wrong].slice(0, 20)}” is not a number`);
  return values;
}

function readDraws(text) {
  const draws = numbersIn(text);
  if (draws.length === 0) throw new Error("there are none");
  return draws;
}

function readReward(text) {
  if (!Object.hasOwn(BUILT_IN, text)) levelsOf(text); // throws what is wrong with it
  return text;
}

function choice(value, names) {
  return {
    value,
    read(text) {
      if (names && !names.includes(text)) {
        throw new Error(`“${text.slice(0, 20)}” is not one of ${names.join(", ")}`);
      }
      return text;
    },
    write: String,
  };
}

function number(value, least, most) {
  return {
    value,
    read(text) {
      const given = text.trim() === "" ? NaN : Number(text);
      if (!(given >= least && given <= most)) {
        throw new Error(`“${text.slice(0, 20)}” is not a number from ${least} to ${most}`);
      }
      return given;
    },
    write: String,
  };
}

function integer(value, least, most) {
  const field = number(value, least, most);
  return {
    ...field,
    read(text) {
      const given = field.read(text);
      if (!Number.isInteger(given)) throw new Error(`${given} is not a whole number`);
      return given;
    },
  };
}

function numbers(value, count, least, most) {
  return {
    value,
    read(text) {
      const given = numbersIn(text);
      if (given.length !== count) throw new Error(`${given.length} numbers, not ${count}`);
      const wrong = given.find((entry) => entry < least || entry > most);
      if (wrong !== undefined) throw new Error(`${wrong} is not from ${least} to ${most}`);
      return given;
    },
    write: (values) => values.join(","),
  };
}
