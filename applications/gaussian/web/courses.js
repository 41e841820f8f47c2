// Courses: what became of the expected reward, step by step, in the present run and in earlier ones.

/** @import { Gaussian } from "./normal.js" */
/** @import { State } from "./state.js" */

/** Courses that are kept; the colours of the style sheet are as many. */
const KEPT = 6;

/**
 * One run.
 *
 * @typedef {object} Course
 * @property {string} baseline
 * @property {string} tab
 * @property {number} samples evaluations of the reward in each step.
 * @property {number} colour 0 to 5.
 * @property {number[]} rewards the expected reward before the first step, and after each.
 * @property {Gaussian[]} path the Gaussian likewise; empty for the moves.
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
    const course = { baseline, tab, samples, colour, path, rewards: [expectedReward], end: "" };
    this.list = [...kept, course];
    return course;
  }
}

/**
 * Add a step to a course.
 *
 * @param {Course} course
 * @param {State} state after the step.
 * @param {number} expectedReward after the step.
 */
export function recordStep(course, state, expectedReward) {
  course.rewards.push(expectedReward);
  course.path.push(...placeOf(state));
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
 * @param {number} expectedReward
 */
export function endsAt({ rewards, baseline, tab, samples }, state, expectedReward) {
  return (
    rewards.at(-1) === expectedReward &&
    baseline === state.baseline &&
    tab === state.tab &&
    samples === state.samples
  );
}
