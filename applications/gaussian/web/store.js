// The state with its past: every change can be undone, and one gesture is one entry.

import { levelsOf, PICTURE } from "./reward.js";
import { consistent, DEFAULTS } from "./state.js";

/** @import { State } from "./state.js" */

/** Entries that can be undone. */
const DEPTH = 200;
/** Fields that say what is looked at: going back to them alone is no undoing. */
const LOOKS = ["panel", "view", "lesson", "question"];

/** A state, what it was made with, and what it was before. */
export class Store {
  /** @type {State} */
  #state;
  /** @type {State[]} */
  #past = [];
  /** @type {State[]} */
  #future = [];
  #gesture = "";
  /** @type {Record<string, number[] | null>} */
  #draws = { gaussian: null, moves: null };

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
   * @param {string} [gesture] changes in a row with the same name are one entry; without a name
   *     each is its own.
   * @returns {string[]} what was wrong.
   */
  change(fields, gesture = "") {
    const { state, errors } = consistent({ ...this.#state, ...fields });
    const changed = differences(state, this.#state);
    if (changed.length === 0) return errors;
    const goesOn = gesture !== "" && gesture === this.#gesture;
    const isLook = changed.every((name) => LOOKS.includes(name));
    if (!goesOn && !isLook) {
      this.#past.push(this.#state);
      if (this.#past.length > DEPTH) this.#past.shift();
    }
    if (!isLook) this.#future = [];
    this.#gesture = gesture;
    this.#become(state);
    return errors;
  }

  /**
   * End a gesture: the next change is an entry of its own, whatever its name.
   *
   * @param {string} gesture
   */
  seal(gesture) {
    if (this.#gesture === gesture) this.#gesture = "";
  }

  /** Go back to before the gesture that goes on, as if it had never begun. */
  cancel() {
    if (this.#gesture === "") return;
    this.undo();
    this.#future.pop();
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
    return this.change({ ...this.made, tab, stage, panel, view, draws, question: "", lesson: 0 });
  }

  /**
   * Change to the other tab; draws of one's own come back with theirs.
   *
   * @param {string} tab
   */
  openTab(tab) {
    this.#draws[this.#state.tab] = this.#state.draws;
    const { average } = DEFAULTS;
    return this.change({ tab, draws: this.#draws[tab], average, question: "", lesson: 0 });
  }

  /**
   * Take an entry from one list, and put the present state on the other.
   *
   * @param {State[]} from
   * @param {State[]} to
   */
  #move(from, to) {
    const state = from.pop();
    if (!state) return;
    to.push(this.#state);
    this.#gesture = "";
    const { panel, view } = this.#state;
    this.#become({ ...state, panel, view });
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

/**
 * The names of the fields that differ.
 *
 * @param {State} one
 * @param {State} other
 */
function differences(one, other) {
  const names = /** @type {(keyof State)[]} */ (Object.keys(DEFAULTS));
  return names.filter((name) => String(one[name]) !== String(other[name]));
}
