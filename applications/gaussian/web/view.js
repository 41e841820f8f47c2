// The view: everything on the page that follows from the state.

import { Cloud } from "./cloud.js";
import { Clouds } from "./clouds.js";
import { showControls } from "./controls.js";
import { Curve } from "./curve.js";
import { canvasOf, element, write } from "./elements.js";
import { showFigures } from "./figures.js";
import { showLesson, slideOf } from "./lesson.js";
import { MovesTable } from "./moves-table.js";
import { Plane } from "./plane.js";
import { worthSentence } from "./sentences.js";
import { Terms } from "./terms.js";

/** @import { Surroundings, Tools } from "./controls.js" */
/** @import { Course } from "./courses.js" */
/** @import { Distribution, Experiment } from "./experiment.js" */
/** @import { Guess } from "./plane-marks.js" */
/** @import { State } from "./state.js" */

/** What a paragraph's hover leaves of the other parts. */
const FADED = 0.12;

/**
 * All that is shown.
 *
 * @typedef {object} Scene
 * @property {State} state
 * @property {Experiment} experiment
 * @property {Experiment} pictured the experiment in the picture: for a moment after a step, the last.
 * @property {Distribution<any, any>} distribution
 * @property {string} stage
 * @property {number[]} seen the samples that are seen.
 * @property {number} sample the one that is pointed at; −1 for none.
 * @property {string[] | null} parts what a reader reads of; null for everything.
 * @property {Course[]} courses
 * @property {Guess | null} guess
 * @property {boolean} isAnswered whether the average stands beside the guess.
 * @property {string} verdict on the guess; empty while it is awaited.
 * @property {string} caption that takes the place of the usual one; empty for none.
 * @property {Tools} tools
 * @property {Surroundings} surroundings
 */

/** What is seen. */
export class View {
  plane = new Plane(canvasOf("plane"));
  #moves = new MovesTable(/** @type {HTMLTableElement} */ (element("moves")));
  #cloud = new Cloud(canvasOf("cloud"));
  #clouds;
  #curve = new Curve(canvasOf("curve"), element("runs"));
  #terms;

  /**
   * @param {(fields: Partial<State>) => void} choose told what the cloud that was clicked stands for.
   * @param {(sample: number) => void} mark told which term is pointed at.
   */
  constructor(choose, mark) {
    this.#clouds = new Clouds(element("clouds"), choose);
    this.#terms = new Terms(/** @type {HTMLTableElement} */ (element("terms")), mark);
  }

  /**
   * Set where arrows and dots are to go.
   *
   * @param {Experiment} pictured
   * @param {Experiment} experiment
   * @param {string} stage
   * @param {boolean} glides
   */
  aim(pictured, experiment, stage, glides) {
    if (pictured.tab === "gaussian") this.plane.show(pictured, stage, glides);
    this.#cloud.show(experiment, glides);
  }

  /** Choose the scale of the cloud afresh. */
  rescale() {
    this.#cloud.rescale();
  }

  /**
   * Draw a scene.
   *
   * @param {Scene} scene
   * @returns {boolean} whether something still moves.
   */
  draw(scene) {
    const { state, experiment, pictured, stage, parts } = scene;
    const opacity = (/** @type {string} */ part) => (!parts || parts.includes(part) ? 1 : FADED);
    const marks = { ...scene, opacity, courses: this.#seenCourses(scene) };
    if (pictured.tab === "gaussian") this.plane.draw(pictured, state, marks);
    else this.#moves.draw(pictured, state, marks);
    this.#drawPanel(scene, opacity("cloud"));

    // The rest is written last: reading a size after it would lay the page out twice.
    showControls(state, slideOf(state).stage, scene.tools, scene.surroundings);
    showFigures(experiment, state);
    showLesson(experiment, state, scene.guess?.vector ?? null, scene.verdict);
    write(element("worth"), worthSentence(experiment, state));
    const caption = scene.caption || scene.distribution.caption(pictured, state, stage);
    write(element("caption"), caption);
    document.body.classList.toggle("guessing", scene.guess !== null && !scene.guess.isDone);
    return this.plane.moves || this.#cloud.moves;
  }

  /**
   * The paths belong to the steps: they are seen with the runs, and while no reader reads.
   *
   * @param {Scene} scene
   */
  #seenCourses({ courses, state }) {
    return courses.filter((course) => course.tab === state.tab);
  }

  /**
   * @param {Scene} scene
   * @param {number} opacity
   */
  #drawPanel({ state, experiment, distribution, courses, sample }, opacity) {
    if (state.panel === "cloud") this.#cloud.draw(experiment, state.baseline !== "none", opacity);
    if (state.panel === "clouds") this.#clouds.draw(experiment, state);
    if (state.panel === "runs") this.#curve.draw(courses, state);
    if (state.panel === "terms") this.#terms.draw(experiment, distribution, sample, state);
  }
}
