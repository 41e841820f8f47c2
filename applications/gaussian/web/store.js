// The state with its past: every change can be undone, and one gesture is one entry.
//
// Gestures have names, and several can be open at once: a run goes on while a hand paints. The first
// change of a gesture opens it, with an entry of the past; its later changes belong to that entry,
// whatever others change in between. Whoever opens a gesture ends it: by `seal`, or by `cancel`, which
// takes back what that gesture has changed and nothing else. Undo and redo end all of them.

import { Courses } from "./courses.js";
import { levelsOf, PICTURE } from "./reward.js";
import { consistent, DEFAULTS, differences } from "./state.js";

/** @import { Course } from "./courses.js" */
/** @import { State } from "./state.js" */

/** Entries that can be undone. */
const DEPTH = 200;
/** Fields that say what is looked at: a change of them alone is no entry of the past. */
const LOOKS = ["panel", "view", "lesson", "question"];

/**
 * A state that can be returned to.
 *
 * @typedef {object} Entry
 * @property {State} state
 * @property {number[] | null} aside draws of one's own in the other tab.
 * @property {Course[] | null} courses where the change did away with them.
 */

/**
 * A gesture that goes on.
 *
 * @typedef {object} Gesture
 * @property {Entry} entry of the past, from before it began.
 * @property {Entry[]} future that it did away with.
 * @property {Set<keyof State>} changed fields.
 */

/** A state, what it was made with, and what it was before. */
export class Store {
  courses = new Courses();
  /** @type {State} */
  #state;
  /** @type {Entry[]} */
  #past = [];
  /** @type {Entry[]} */
  #future = [];
  /** @type {Map<string, Gesture>} */
  #open = new Map();
  /**
   * Draws of one's own in the other tab: they come back with it, until a reset, or another number of
   * samples, which both tabs share.
   *
   * @type {number[] | null}
   */
  #aside = null;

  /**
   * Start from a state.
   *
   * @param {State} made what the page was made with, and Reset leads back to.
   * @param {State} [state] what it shows first.
   */
  constructor(made, state = made) {
    this.made = made;
    this.#state = state;
    /** The reward that was painted, loaded or linked last: it stays in the list. */
    this.own = "";
    this.#keepOwn(made);
    this.#keepOwn(state);
  }

  get state() {
    return this.#state;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /**
   * Change some fields.
   *
   * @param {Partial<State>} fields
   * @param {string} [gesture] that the change belongs to; without one it is an entry of its own.
   * @returns {string[]} what was wrong.
   */
  change(fields, gesture = "") {
    const { state, errors } = consistent({ ...this.#state, ...fields });
    const changed = differences(state, this.#state);
    if (changed.length === 0) return errors;
    if (changed.every((name) => LOOKS.includes(name))) this.#lookBack(changed, state);
    else this.#enter(changed, gesture, state.draws !== null);
    this.#become(state);
    return errors;
  }

  /**
   * What was looked away from is not looked at again by undo or redo: a lesson that was left, say.
   *
   * @param {(keyof State)[]} looks that change.
   * @param {State} state with the new ones.
   */
  #lookBack(looks, state) {
    for (const entry of [...this.#past, ...this.#future]) {
      const left = looks.filter((name) => entry.state[name] === this.#state[name]);
      const fields = Object.fromEntries(left.map((name) => [name, state[name]]));
      entry.state = { ...entry.state, ...fields };
    }
  }

  /**
   * Enter a change in the past.
   *
   * @param {(keyof State)[]} changed
   * @param {string} gesture
   * @param {boolean} hasDraws of one's own, after it.
   */
  #enter(changed, gesture, hasDraws) {
    let open = this.#open.get(gesture);
    if (!open) {
      open = { entry: this.#present, future: this.#future, changed: new Set() };
      if (gesture !== "") this.#open.set(gesture, open);
      this.#past.push(open.entry);
      if (this.#past.length > DEPTH) this.#past.shift();
    }
    for (const name of changed) open.changed.add(name);
    if (changed.includes("samples") && !hasDraws) this.#aside = null;
    this.#future = [];
    return open;
  }

  /**
   * Do away with all courses; undo brings them back.
   *
   * @param {string} [gesture] that this belongs to.
   */
  clearCourses(gesture = "") {
    const { list } = this.courses;
    if (list.length === 0) return;
    this.#enter([], gesture, true).entry.courses = list;
    this.courses.list = [];
  }

  /**
   * End a gesture: the next change of its name is an entry of its own.
   *
   * @param {string} gesture
   */
  seal(gesture) {
    const open = this.#open.get(gesture);
    this.#open.delete(gesture);
    if (!open || open.entry.courses || this.#past.at(-1) !== open.entry) return;
    if (differences(this.#state, open.entry.state).length > 0) return;
    this.#past.pop(); // it has changed nothing after all
    this.#future = open.future;
  }

  /**
   * End a gesture as if it had never begun: what it has changed is as it was before.
   *
   * @param {string} gesture
   */
  cancel(gesture) {
    const open = this.#open.get(gesture);
    if (!open) return;
    const before = open.entry.state;
    const back = Object.fromEntries([...open.changed].map((name) => [name, before[name]]));
    this.#become(consistent({ ...this.#state, ...back }).state);
    this.#past = this.#past.filter((entry) => entry !== open.entry);
    if (differences(this.#state, before).length === 0) this.#future = open.future;
    this.#open.delete(gesture);
  }

  /** Go back one entry. */
  undo() {
    this.#move(this.#past, this.#future);
  }

  /** Go forward again. */
  redo() {
    this.#move(this.#future, this.#past);
  }

  /** Go back to what the page was made with, in the same tab and at the same stage. */
  reset() {
    const { tab, stage, panel, view } = this.#state;
    const draws = tab === this.made.tab ? this.made.draws : null;
    const made = { ...this.made, tab, stage, panel, view, draws };
    const errors = this.change({ ...made, question: "", lesson: 0 });
    this.#aside = tab === this.made.tab ? null : this.made.draws;
    return errors;
  }

  /**
   * Change to the other tab; draws of one's own come back with theirs.
   *
   * @param {string} tab
   */
  openTab(tab) {
    const { draws } = this.#state;
    const { average } = DEFAULTS;
    const own = this.#aside;
    const errors = this.change({ tab, draws: own, average, question: "", lesson: 0 });
    this.#aside = draws;
    return errors;
  }

  /** @returns {Entry} */
  get #present() {
    return { state: this.#state, aside: this.#aside, courses: null };
  }

  /**
   * Take an entry from one list, and put the present state on the other.
   *
   * @param {Entry[]} from
   * @param {Entry[]} to
   */
  #move(from, to) {
    const entry = from.pop();
    if (!entry) return;
    to.push({ ...this.#present, courses: entry.courses && this.courses.list });
    this.#open.clear();
    this.courses.list = entry.courses ?? this.courses.list;
    this.#aside = entry.aside;
    this.#become(entry.state);
  }

  /** @param {State} state */
  #become(state) {
    this.#state = state;
    this.#keepOwn(state);
  }

  /** @param {State} state */
  #keepOwn({ reward }) {
    if (reward.startsWith(PICTURE)) this.own = reward;
  }

  /** The grey levels of the reward. */
  get levels() {
    return levelsOf(this.#state.reward);
  }
}
