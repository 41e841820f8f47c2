// The runner: takes steps, one or many, alone or with all baselines side by side.

import { endsAt, recordStep } from "./courses.js";
import { BASELINES } from "./estimator.js";

/** @import { Course } from "./courses.js" */
/** @import { Distribution, Picture } from "./experiment.js" */
/** @import { Page } from "./page.js" */
/** @import { State } from "./state.js" */

/** Steps a second while it runs. */
const PACE = 8;
/** The steps of a run are one entry of the past. */
const RUN = "run";
/** Steps of a race. */
const RACE = 60;

/**
 * A participant of a race.
 *
 * @typedef {{state: State, course: Course}} Racer
 */

/** Takes steps, and keeps their courses. */
export class Runner {
  #page;
  #timer = 0;
  #frame = 0;
  #raced = { link: "", races: 0 };

  /** @param {Page} page it acts on. */
  constructor(page) {
    this.#page = page;
  }

  /** Whether it takes steps of its own. */
  get isRunning() {
    return this.#timer !== 0;
  }

  /** Whether a race is on. */
  get isRacing() {
    return this.#frame !== 0;
  }

  /** Steps of the present course. */
  get steps() {
    const last = this.#page.store.courses.list.at(-1);
    return last ? last.rewards.length - 1 : 0;
  }

  /** Go where the estimate points, and draw afresh; a run of steps is one gesture. */
  step() {
    this.#page.screen.endGuess();
    const { state, experiment, distribution, messages, store } = this.#page;
    const { expectedReward } = experiment;
    const problem = distribution.problem(experiment);
    if (problem) {
      const sentence = refusal(problem, state);
      if (this.isRunning) messages.tell(`The run ends. ${sentence}`);
      else messages.complain([sentence]);
      this.stop();
      return;
    }
    let course = store.courses.list.at(-1);
    if (!course || !endsAt(course, state)) course = store.courses.begin(state, expectedReward);
    const gesture = this.isRunning ? RUN : "";
    this.#page.change(afterStep(state, experiment, distribution), { gesture });
    const { state: next, experiment: after } = this.#page;
    recordStep(course, { state, expectedReward }, { ...after, state: next });
  }

  /** Take steps until it is stopped. */
  run() {
    this.stop();
    this.#page.screen.endGuess();
    const { state, experiment, store } = this.#page;
    store.courses.begin(state, experiment.expectedReward);
    this.#timer = setInterval(() => this.step(), 1000 / PACE);
    this.#page.screen.request();
  }

  /**
   * All baselines from here, with the same draws at the start and as many of them; once more from the
   * same place, with other draws.
   */
  race() {
    this.stop();
    this.#page.screen.endGuess();
    const { state, experiment, distribution, picture, store, link } = this.#page;
    store.clearCourses();
    const races = link === this.#raced.link ? this.#raced.races : 0;
    this.#raced = { link, races: races + 1 };
    const seed = (state.seed + races * RACE) % 2 ** 31;
    const baselines = BASELINES.filter((_, k) => state.samples > 1 || k < 3);
    const racers = baselines.map((baseline) => {
      const own = { ...state, baseline, seed, average: [0, 0], draws: null };
      return { state: own, course: store.courses.begin(own, experiment.expectedReward) };
    });
    let steps = 0;
    const next = () => {
      steps += 1;
      for (const racer of racers) advance(racer, distribution, picture);
      this.#frame = steps < RACE ? requestAnimationFrame(next) : 0;
      this.#page.screen.request();
    };
    this.#frame = requestAnimationFrame(next);
    this.#page.screen.request();
  }

  /** Stop whatever runs. */
  stop() {
    clearInterval(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#timer = 0;
    this.#frame = 0;
    this.#page.store.seal(RUN);
    this.#page.screen.request();
  }
}

/**
 * One step of a racer, which draws no cloud.
 *
 * @param {Racer} racer written to.
 * @param {Distribution<any, any>} distribution
 * @param {Picture} picture
 */
function advance(racer, distribution, picture) {
  if (racer.course.end) return;
  const estimate = distribution.estimate(racer.state, picture);
  racer.course.end = distribution.problem(estimate);
  if (racer.course.end) return;
  const { state } = racer;
  racer.state = { ...state, ...afterStep(state, estimate, distribution) };
  const after = { state: racer.state, expectedReward: distribution.value(racer.state, picture) };
  recordStep(racer.course, { state, expectedReward: NaN }, after);
}

/**
 * The fields that a step changes.
 *
 * @param {State} state
 * @param {any} estimate
 * @param {Distribution<any, any>} distribution
 * @returns {Partial<State>}
 */
export function afterStep({ baseline, seed }, estimate, distribution) {
  const average = baseline === "moving-average" ? estimate.nextAverage : [0, 0];
  return { ...distribution.place(estimate), average, seed: nextSeed(seed), draws: null };
}

/**
 * The seed after a seed.
 *
 * @param {number} seed
 */
export function nextSeed(seed) {
  return (seed + 1) % 2 ** 31;
}

/**
 * Why a step is not taken, and what to do.
 *
 * @param {string} problem
 * @param {State} state
 */
function refusal(problem, { baseline }) {
  const hint = baseline === "none" ? ", or choose a baseline" : "";
  return `This step is not taken, since after it ${problem}: lower the learning rate${hint}`;
}
