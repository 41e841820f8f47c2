// The lesson: six pictures of one experiment, one sentence each.

import { buttonOf } from "./controls.js";
import { element, write } from "./elements.js";
import { digitsFor, signed } from "./numbers.js";
import { LESSONS } from "./state.js";

/** @import { Experiment } from "./experiment.js" */
/** @import { State } from "./state.js" */

/**
 * One picture of the lesson.
 *
 * @typedef {object} Slide
 * @property {string} stage
 * @property {number} shown how many samples are seen.
 * @property {(experiment: Experiment, state: State) => string} text
 */

/** @type {Slide[]} */
const SLIDES = [
  {
    stage: "scores",
    shown: 1,
    text: () =>
      "One sample and its arrow, the score: which way the mean would have to go to make this very sample more likely.",
  },
  {
    stage: "weighted",
    shown: 1,
    text: ({ rewards }) =>
      rewards[0] > 0
        ? "Its reward is above zero, so the arrow counts as it is: more of this."
        : "Its reward is below zero, so the arrow is reversed: less of this.",
  },
  {
    stage: "weighted",
    shown: 10,
    text: (_, { samples }) =>
      `${samples < 10 ? "All" : "Ten"} samples: green ones pull the mean towards themselves, red ones push it away. None of them knows where the regions are.`,
  },
  {
    stage: "weighted",
    shown: Number.POSITIVE_INFINITY,
    text: (_, { samples }) =>
      `All ${samples}. Where would you send the mean? Guess first: drag an arrow from the mean.`,
  },
  {
    stage: "average",
    shown: Number.POSITIVE_INFINITY,
    text: () =>
      "The average of all arrows is the estimate, the solid arrow. The exact gradient, dashed, is what infinitely many samples would give.",
  },
  {
    stage: "step",
    shown: Number.POSITIVE_INFINITY,
    text: ({ expectedReward, expectedRewardAfter }, { scale }) => {
      const digits = digitsFor(scale) - 1;
      const [from, to] = [expectedReward, expectedRewardAfter].map((r) => signed(r, digits));
      return `One step along the average takes the expected reward from ${from} to ${to}. Then draw afresh and repeat: that is all of learning here.`;
    },
  },
];

/**
 * What a state shows: its own stage and all samples, or those of the lesson.
 *
 * @param {State} state
 * @returns {{stage: string, shown: number}}
 */
export function slideOf({ lesson, stage }) {
  return SLIDES[lesson - 1] ?? { stage, shown: Number.POSITIVE_INFINITY };
}

/**
 * Show the sentence of the lesson.
 *
 * @param {Experiment} experiment
 * @param {State} state
 */
export function showLesson(experiment, state) {
  const slide = SLIDES[state.lesson - 1];
  element("lesson").hidden = !slide;
  if (!slide) return;
  write(element("lesson-text"), slide.text(experiment, state));
  write(element("lesson-count"), `${state.lesson} of ${LESSONS}`);
  buttonOf("lesson-back").hidden = state.lesson === 1;
  buttonOf("lesson-guess").hidden = state.lesson !== 4 || state.tab !== "gaussian";
  write(buttonOf("lesson-next"), state.lesson === LESSONS ? "Done" : "Next");
}
