// Courses: what became of the expected reward, step by step, in the present run and in earlier ones.

import { differences } from "./state.js";

/** @import { Gaussian } from "./normal.js" */
/** @import { State } from "./state.js" */

/** Courses that are kept; the colours of the style sheet are as many. */
const KEPT = 6;

/** A course ends where these are changed by anything but its own steps. */
const PLACE = ["tab", "baseline", "mean", "factor", "logits"];
/** Settings whose change shows as a break in a course: the baseline has a course of its own. */
const SETTINGS = /** @type {(keyof State)[]} */ ([
  "reward",
  "payoffs",
  "shift",
  "scale",
  "samples",
  "gradient",
  "constant",
  "rate",
  "covariance",
]);

/**
 * Where the settings of a course were changed.
 *
 * @typedef {object} Break
 * @property {number} step after which.
 * @property {number} reward that was expected from then on, before the next step.
 */

/**
 * One run.
 *
 * @typedef {object} Course
 * @property {string} baseline
 * @property {string} tab
 * @property {number} samples evaluations of the reward in each step.
 * @property {number} draws in all its steps.
 * @property {number} colour 0 to 5.
 * @property {number[]} rewards the expected reward before the first step, and after each.
 * @property {Gaussian[]} path the Gaussian likewise; empty for the moves.
 * @property {Break[]} breaks
 * @property {State} state that its last step led to.
 * @property {string} end why it stopped; empty while it can go on.
 */

/** The courses of a page, the latest last. */
export class Courses {
  /**
   * Never changed itself, since the past may have it.
   *
   * @type {Course[]}
   */
  list = [];

  /**
   * Begin a course where a state is.
   *
   * @param {State} state
   * @param {number} expectedReward
   * @returns {Course}
   */
  begin(state, expectedReward) {
    const kept = this.list.slice(-KEPT + 1);
    const taken = kept.map(({ colour }) => colour);
    const { baseline, tab, samples } = state;
    const colour = [...Array(KEPT).keys()].find((index) => !taken.includes(index)) ?? 0;
    const path = placeOf(state);
    const course = {
      baseline,
      tab,
      samples,
      colour,
      path,
      state,
      draws: 0,
      rewards: [expectedReward],
      breaks: [],
      end: "",
    };
    this.list = [...kept, course];
    return course;
  }
}

/**
 * A state, and the reward that it expects.
 *
 * @typedef {{state: State, expectedReward: number}} Moment
 */

/**
 * Add a step to a course.
 *
 * @param {Course} course
 * @param {Moment} before the step.
 * @param {Moment} after the step.
 */
export function recordStep(course, before, after) {
  const changed = differences(before.state, course.state);
  if (changed.some((name) => SETTINGS.includes(name))) {
    course.breaks.push({ step: course.rewards.length - 1, reward: before.expectedReward });
  }
  course.samples = before.state.samples;
  course.draws += before.state.samples;
  course.rewards.push(after.expectedReward);
  course.path.push(...placeOf(after.state));
  course.state = after.state;
}

/**
 * The Gaussian of a state, if it has that tab.
 *
 * @param {State} state
 * @returns {Gaussian[]}
 */
function placeOf({ tab, mean, factor }) {
  return tab === "gaussian" ? [{ mean, factor }] : [];
}

/**
 * Whether a course ends where a state is, so that a step from there goes on with it.
 *
 * @param {Course} course
 * @param {State} state
 */
export function endsAt(course, state) {
  const moved = differences(course.state, state);
  return !moved.some((name) => PLACE.includes(name));
}
