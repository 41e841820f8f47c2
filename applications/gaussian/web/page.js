// The page: a store, a runner and a view, and what becomes of a change.

import { Announcer } from "./announcer.js";
import { Brush } from "./brush.js";
import { deskOf } from "./desk.js";
import { distributionOf } from "./distributions.js";
import { canvasOf, first } from "./elements.js";
import { Hands } from "./hands.js";
import { guessSentence, NO_GUESS, sampleAt } from "./hover.js";
import { slideOf } from "./lesson.js";
import { listen } from "./listen.js";
import { Messages } from "./messages.js";
import { columnSteps } from "./quadrature.js";
import { listenToReaders } from "./readers.js";
import { levelsOf } from "./reward.js";
import { Runner } from "./runner.js";
import { sampleSentence, statusSentence } from "./sentences.js";
import { formatState, parseState } from "./state.js";
import { Store } from "./store.js";
import { View } from "./view.js";

/** @import { Tools } from "./controls.js" */
/** @import { Distribution, Experiment } from "./experiment.js" */
/** @import { Guess } from "./plane-marks.js" */
/** @import { Preview } from "./readers.js" */
/** @import { Parsed, State } from "./state.js" */

/** How long a step is seen before the next draws, milliseconds. */
const HOLD = 900;
/** The page, from the first paint on. */
export class Page {
  /** @type {Tools} */
  tools = { tool: "move", brush: 0.4 };
  messages = new Messages();
  store;
  runner;
  /** @type {Guess | null} */
  guess = null;
  #view;
  #hands;
  #picture;
  /** @type {Experiment} */
  #experiment;
  /** @type {Preview} */
  #preview = { parts: null, stage: null };
  /**
   * Where the pointer is in the plot.
   *
   * @type {number[] | null}
   */
  pointer = null;
  #term = -1;
  /** @type {{experiment: Experiment, until: number} | null} */
  #hold = null;
  #frame = 0;
  #announcer = new Announcer(() => this.#announcement);

  constructor() {
    const made = parseState(document.body.dataset.state ?? "");
    const { state, errors } = this.#fromAddress(made.state);
    this.store = new Store(made.state, state);
    this.#picture = pictureOf(state.reward);
    this.#experiment = this.distribution.experiment(state, this.#picture);
    this.runner = new Runner(this);
    this.#view = new View(
      (fields) => this.change(fields, { glides: true }),
      (sample) => {
        this.#term = sample;
        this.request();
      },
    );
    this.#view.plane.setPicture(this.#picture.levels);
    const desk = deskOf(this);
    this.#hands = new Hands(canvasOf("plane"), desk);
    new Brush(canvasOf("plane"), desk, (event) => this.#hands.dragMean(canvasOf("plane"), event));
    listen(this);
    listenToReaders((preview) => this.#read(preview));
    this.messages.complain([...made.errors, ...errors]);
    this.#show(false);
    if (state.question) bringIntoSight();
  }

  get state() {
    return this.store.state;
  }

  get experiment() {
    return this.#experiment;
  }

  get picture() {
    return this.#picture;
  }

  /** @returns {Distribution<any, any>} */
  get distribution() {
    return distributionOf(this.state);
  }

  /** The state as text; an empty one would be what the page was made with. */
  get link() {
    return formatState(this.state) || "tab=gaussian";
  }

  // ---------------------------------------------------------------- changes

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
    if (reward !== this.#picture.reward) {
      this.#picture = pictureOf(reward);
      this.#view.plane.setPicture(this.#picture.levels);
    }
    this.#hold = null;
    if (this.guess) this.guess = NO_GUESS;
    this.#experiment = this.distribution.experiment(this.state, this.#picture);
    this.#show(glides);
  }

  /** Take one step, and show it before what is drawn next. */
  step() {
    const before = this.#experiment;
    this.messages.clear();
    this.runner.step();
    if (this.#experiment === before) return;
    this.#hold = { experiment: before, until: performance.now() + HOLD };
    setTimeout(() => this.#show(true), HOLD + 20);
    this.#show(false);
  }

  /** Follow the address that was pasted, clicked, or gone back to. */
  follow() {
    this.runner.stop();
    const { state, errors } = this.#fromAddress(this.store.made);
    if (state.question !== this.state.question) this.#view.rescale();
    this.messages.clear();
    this.guess = null;
    this.change(state, { glides: true });
    if (errors.length > 0) this.messages.complain(errors);
    if (state.question) bringIntoSight();
  }

  /**
   * What the address says; without one, what the page was made with, and the lesson.
   *
   * @param {State} made
   * @returns {Parsed}
   */
  #fromAddress(made) {
    const text = location.hash.slice(1);
    if (text !== "") return parseState(text);
    return { state: { ...made, lesson: made.tab === "gaussian" ? 1 : 0 }, errors: [] };
  }

  /**
   * Change to the other tab.
   *
   * @param {string} tab
   */
  openTab(tab) {
    this.runner.stop();
    if (tab === this.state.tab) return;
    this.#view.rescale();
    this.guess = null;
    this.messages.complain(this.store.openTab(tab));
    this.refresh(false);
  }

  // ---------------------------------------------------------------- what is shown

  /**
   * Show what is computed, and let the address follow.
   *
   * @param {boolean} glides
   */
  #show(glides) {
    if (this.#hold && performance.now() > this.#hold.until) this.#hold = null;
    this.#view.aim(this.#pictured, this.#experiment, this.#stage, glides);
    this.request();
    this.#announcer.soon();
  }

  /** What the address and the live region say. */
  get #announcement() {
    const { state, link, runner } = this;
    const steps = runner.isRunning ? runner.steps : 0;
    const place = this.distribution.placeSentence(state);
    return { link, status: place + statusSentence(this.#experiment, state, steps) };
  }

  get #pictured() {
    return this.#hold?.experiment ?? this.#experiment;
  }

  get #stage() {
    if (this.#hold) return "step";
    return this.#preview.stage ?? slideOf(this.state).stage;
  }

  /** Draw again in other colours. */
  recolour() {
    this.#view.plane.setPicture(this.#picture.levels);
    this.request();
  }

  /** Draw before the next frame. */
  request() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const { state, store, runner } = this;
    const [pictured, stage] = [this.#pictured, this.#stage];
    const isGaussian = pictured.tab === "gaussian";
    const sample = this.#sample(stage);
    if (isGaussian) this.#hands.place(state);
    const own = sample >= 0 && isGaussian ? sampleSentence(pictured, sample) : "";
    const guessed = this.guess && isGaussian ? guessSentence(this.guess, pictured) : "";
    const moves = this.#view.draw({
      state,
      experiment: this.#experiment,
      pictured,
      distribution: this.distribution,
      stage,
      shown: this.#preview.stage ? Number.POSITIVE_INFINITY : slideOf(state).shown,
      sample,
      parts: this.#preview.parts,
      courses: runner.courses.list,
      guess: this.guess,
      caption: guessed || own,
      tools: this.tools,
      surroundings: {
        link: this.link,
        own: store.own,
        canUndo: store.canUndo,
        canRedo: store.canRedo,
        isRunning: runner.isRunning,
      },
    });
    if (moves) this.request();
  }

  /**
   * The sample that is pointed at, on the plane or in the table of terms.
   *
   * @param {string} stage
   */
  #sample(stage) {
    if (this.#term >= 0) return this.#term;
    const pictured = this.#pictured;
    if (!this.pointer || pictured.tab !== "gaussian" || this.guess) return -1;
    return sampleAt(pictured, stage, this.pointer);
  }

  /**
   * Show what a paragraph speaks of, for as long as it is read.
   *
   * @param {Preview} preview
   */
  #read(preview) {
    this.#preview = preview;
    this.#view.aim(this.#pictured, this.#experiment, this.#stage, true);
    this.request();
  }
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
