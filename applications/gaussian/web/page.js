// The page: a store, a runner and a screen, and what becomes of a change.

import { answered } from "./controls.js";
import { distributionOf } from "./distributions.js";
import { first } from "./elements.js";
import { listen } from "./listen.js";
import { Messages } from "./messages.js";
import { counted } from "./numbers.js";
import { columnSteps } from "./quadrature.js";
import { levelsOf } from "./reward.js";
import { Runner } from "./runner.js";
import { Screen } from "./screen.js";
import { formatState, parseState } from "./state.js";
import { Store } from "./store.js";

/** @import { Tools } from "./controls.js" */
/** @import { Distribution, Experiment } from "./experiment.js" */
/** @import { Parsed, State } from "./state.js" */

/** To follow a link is one entry of the past. */
const LINK = "link";

/** The page, from the first paint on. */
export class Page {
  /** @type {Tools} */
  tools = { tool: "move", brush: 0.4 };
  messages = new Messages();
  store;
  runner;
  screen;
  picture;
  /** @type {Experiment} */
  experiment;

  constructor() {
    const made = answered(parseState(document.body.dataset.state ?? ""));
    const { state, errors } = fromAddress(made.state);
    this.store = new Store(made.state, state);
    this.picture = pictureOf(state.reward);
    this.experiment = this.distribution.experiment(state, this.picture);
    this.runner = new Runner(this);
    this.screen = new Screen(this);
    listen(this);
    this.messages.complain([...made.errors, ...errors]);
    this.screen.show(false);
    if (state.question) bringIntoSight();
  }

  get state() {
    return this.store.state;
  }

  /** @returns {Distribution<any, any>} */
  get distribution() {
    return distributionOf(this.state);
  }

  /** The state as text; an empty one would be what the page was made with. */
  get link() {
    return formatState(this.state) || "tab=gaussian";
  }

  /**
   * Change some fields.
   *
   * @param {Partial<State>} fields
   * @param {{glides?: boolean, gesture?: string}} [how] a hand that drags is followed at once, all
   *     else glides; changes with one gesture are one entry of the past.
   */
  change(fields, { glides = false, gesture = "" } = {}) {
    this.messages.complain(this.store.change(fields, gesture));
    this.refresh(glides);
  }

  /**
   * Compute afresh after the store has changed, and show it.
   *
   * @param {boolean} glides
   */
  refresh(glides) {
    const { reward } = this.state;
    if (reward !== this.picture.reward) {
      this.picture = pictureOf(reward);
      this.screen.paint();
    }
    this.experiment = this.distribution.experiment(this.state, this.picture);
    this.screen.show(glides);
  }

  /** Take one step, and show it before what is drawn next. */
  step() {
    const before = this.experiment;
    this.messages.clear();
    this.runner.step();
    if (this.experiment !== before) this.screen.hold(before);
  }

  /** Follow the address that was pasted, clicked, or gone back to. */
  follow() {
    this.runner.stop();
    const { state, errors } = fromAddress(this.store.made);
    const isOther = state.question !== this.state.question;
    if (!isOther && state.question) state.view = this.state.view; // an answer's link in a lecture
    if (isOther) {
      this.screen.clear();
      this.store.clearCourses(LINK); // a question begins with a clean picture
    }
    this.messages.clear();
    this.change(state, { glides: true, gesture: LINK });
    this.store.seal(LINK);
    if (errors.length > 0) this.messages.complain(errors);
    if (state.question) bringIntoSight();
  }

  /**
   * Change to the other tab.
   *
   * @param {string} tab
   */
  openTab(tab) {
    this.runner.stop();
    if (tab === this.state.tab) return;
    this.screen.clear();
    this.messages.complain(this.store.openTab(tab));
    const { draws, samples } = this.state;
    const back = `${counted(samples, "draw")} of your own came back with this tab; “Draw again” draws others.`;
    this.messages.tell(draws ? back : "");
    this.refresh(false);
  }
}

/**
 * What the address says; without one, what the page was made with, and the lesson.
 *
 * @param {State} made
 * @returns {Parsed}
 */
function fromAddress(made) {
  const text = location.hash.slice(1);
  if (text !== "") return answered(parseState(text));
  return { state: { ...made, lesson: made.tab === "gaussian" ? 1 : 0 }, errors: [] };
}

/** On a phone an answer lies over the bottom, and the picture of it goes to the top. */
function bringIntoSight() {
  if (!matchMedia("(max-width: 40rem) and (min-height: 34rem)").matches) return;
  const above = first(".tabs").getBoundingClientRect();
  setTimeout(() => scrollTo(0, above.bottom + scrollY), 50); // once it is drawn
}

/**
 * A reward as a picture.
 *
 * @param {string} reward
 */
function pictureOf(reward) {
  const levels = levelsOf(reward);
  return { reward, levels, columns: columnSteps(levels) };
}
