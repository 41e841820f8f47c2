// The screen: what of the page's experiment is seen at this moment, and when it is drawn.

import { Announcer } from "./announcer.js";
import { lengthOf } from "./arrows.js";
import { Brush } from "./brush.js";
import { deskOf } from "./desk.js";
import { canvasOf } from "./elements.js";
import { Hands } from "./hands.js";
import { guessSentence, NO_GUESS } from "./hover.js";
import { ASKS, slideOf } from "./lesson.js";
import { listenToReaders } from "./readers.js";
import { statusSentence } from "./sentences.js";
import { View } from "./view.js";

/** @import { Experiment } from "./experiment.js" */
/** @import { Page } from "./page.js" */
/** @import { Guess } from "./plane-marks.js" */
/** @import { Preview } from "./readers.js" */

/**
 * The gradient that a guess is of, and the scale of its arrow.
 *
 * @param {Experiment} experiment
 */
function keyOf(experiment) {
  const length = experiment.tab === "gaussian" ? lengthOf(experiment) : 0;
  return `${experiment.exact} ${length}`;
}

/** How long a step is seen before the next draws, milliseconds. */
const HOLD = 900;

/** Draws the page whenever something on it has changed. */
export class Screen {
  #guess = NO_GUESS;
  #page;
  #view;
  #hands;
  /** @type {Preview} */
  #preview = { parts: null, stage: null };
  /** @type {number[] | null} */
  #pointer = null;
  #term = -1;
  #lesson = 0;
  /**
   * A guess, and the gradient that it is of.
   *
   * @type {{guess: Guess, of: string} | null}
   */
  #kept = null;
  /** @type {{experiment: Experiment, until: number} | null} */
  #hold = null;
  #frame = 0;
  #announcer = new Announcer(() => this.#announcement);

  /** @param {Page} page */
  constructor(page) {
    this.#page = page;
    this.#view = new View(
      (fields) => page.change(fields, { glides: true }),
      (sample) => {
        this.#term = sample;
        this.request();
      },
    );
    this.#view.plane.setPicture(page.picture.levels);
    const canvas = canvasOf("plane");
    const desk = deskOf(page);
    this.#hands = new Hands(canvas, desk);
    new Brush(canvas, desk, (event) => this.#hands.dragMean(canvas, event));
    listenToReaders((preview) => {
      this.#preview = preview;
      const isUpright = matchMedia("(max-aspect-ratio: 4/5)").matches; // all else scrolls away there
      if (preview.parts && (isUpright || preview.parts.includes("cloud")))
        page.change({ panel: "cloud" });
      this.#aim(true);
    });
  }

  /**
   * A reader's own arrow, while the pointer makes guesses: in the tab that has a plane, and with the
   * tool for it.
   *
   * @returns {Guess | null}
   */
  get guess() {
    const { state, tools } = this.#page;
    return state.tab === "gaussian" && tools.tool === "guess" ? this.#guess : null;
  }

  set guess(guess) {
    this.#guess = guess ?? NO_GUESS;
  }

  /** Guess no more: whatever moves the Gaussian shows the answer too. */
  endGuess() {
    const { tools } = this.#page;
    if (tools.tool === "guess") tools.tool = "move";
    this.guess = null;
  }

  /**
   * Show what has changed, and let the address follow.
   *
   * @param {boolean} glides
   */
  show(glides) {
    this.#hold = null;
    this.#turn();
    this.guess = null;
    this.#aim(glides);
    this.#announcer.soon();
  }

  /** Where the lesson asks for a guess, the pointer makes one; the next picture shows it again. */
  #turn() {
    const { state, tools, experiment } = this.#page;
    const { lesson } = state;
    if (lesson === this.#lesson) return;
    const isMade = this.#lesson === ASKS && lesson === ASKS + 1 && this.guess?.isDone;
    this.#kept = isMade && this.guess ? { guess: this.guess, of: keyOf(experiment) } : null;
    this.#lesson = lesson;
    if (lesson === ASKS) {
      tools.tool = "guess";
      this.guess = NO_GUESS;
    } else if (lesson > 0 || tools.tool === "guess") {
      tools.tool = "move";
      this.guess = null;
    }
  }

  /** The guess of the lesson's last picture, for as long as it is one of this gradient. */
  get #keptGuess() {
    const kept = this.#kept;
    return kept && kept.of === keyOf(this.#page.experiment) ? kept.guess : null;
  }

  /**
   * Show a step for a moment, before what was drawn after it.
   *
   * @param {Experiment} experiment before the step.
   */
  hold(experiment) {
    this.#hold = { experiment, until: performance.now() + HOLD };
    this.#aim(false);
    setTimeout(() => {
      if (!this.#hold || performance.now() < this.#hold.until) return;
      this.#hold = null;
      this.#aim(true);
    }, HOLD + 20);
  }

  /**
   * Point at a place of the plot, or at none.
   *
   * @param {number[] | null} at
   */
  point(at) {
    this.#pointer = at;
    this.request();
  }

  /** Begin with something else: no guess, and a scale of its own for the cloud. */
  clear() {
    this.guess = null;
    this.#page.tools.tool = "move";
    this.#view.rescale();
  }

  /** Paint the reward, in the colours of now. */
  paint() {
    this.#view.plane.setPicture(this.#page.picture.levels);
    this.request();
  }

  /** Draw before the next frame. */
  request() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  /** @param {boolean} glides */
  #aim(glides) {
    this.#view.aim(this.#pictured, this.#page.experiment, this.#stage, glides);
    this.request();
  }

  /** What the address and the live region say. */
  get #announcement() {
    const { state, link, runner, distribution, experiment } = this.#page;
    const steps = runner.isRunning ? runner.steps : 0;
    const place = distribution.placeSentence(state);
    return { link, status: place + statusSentence(experiment, state, steps) };
  }

  get #pictured() {
    return this.#hold?.experiment ?? this.#page.experiment;
  }

  get #stage() {
    if (this.#hold) return "step";
    return this.#preview.stage ?? slideOf(this.#page.state).stage;
  }

  /** The sample that is pointed at, on the plane or in the table of terms; −1 for none. */
  get #sample() {
    if (this.#term >= 0) return this.#term;
    if (!this.#pointer || this.guess) return -1;
    return this.#page.distribution.sampleAt(this.#pictured, this.#stage, this.#pointer);
  }

  #draw() {
    this.#frame = 0;
    const { store, runner, distribution, experiment, tools, link } = this.#page;
    const isRead = this.#preview.stage !== null; // what a paragraph speaks of is no lesson's answer
    const state = isRead ? { ...this.#page.state, lesson: 0 } : this.#page.state;
    const [pictured, stage, sample] = [this.#pictured, this.#stage, this.#sample];
    this.#hands.place(state);
    const told = sample >= 0 ? distribution.sampleSentence(pictured, sample, state) : "";
    const guess = this.guess ?? this.#keptGuess;
    const isGuessing = this.guess !== null && pictured.tab === "gaussian";
    const guessed = guess && isGuessing ? guessSentence(guess, pictured) : "";
    const isVerdict = state.lesson === ASKS && guess?.isDone;
    const moves = this.#view.draw({
      state,
      experiment,
      pictured,
      distribution,
      stage,
      seen: slideOf(state).seen(pictured),
      sample,
      parts: this.#preview.parts,
      courses: store.courses.list,
      guess,
      isAnswered: this.guess === null,
      verdict: isVerdict ? guessed : "",
      caption: (!isVerdict && guessed) || told,
      tools,
      surroundings: {
        link,
        own: store.own,
        canUndo: store.canUndo,
        canRedo: store.canRedo,
        isRunning: runner.isRunning,
        hasRaced: new Set(store.courses.list.map(({ baseline }) => baseline)).size > 1,
        hasTrails: store.courses.list.some(({ path }) => path.length > 1),
      },
    });
    if (moves) this.request();
  }
}
