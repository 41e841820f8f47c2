// The lesson: six pictures of one experiment, one sentence each.

import { buttonOf } from "./controls.js";
import { element, write } from "./elements.js";
import { degreesBetween } from "./hover.js";
import { digitsFor, signed } from "./numbers.js";
import { LESSONS } from "./state.js";

/** @import { Experiment } from "./experiment.js" */
/** @import { State } from "./state.js" */

/** The picture that asks for a guess. */
export const ASKS = 4;
/** Samples in the picture of a few, and how many of them are good ones if there are so many. */
const FEW = 10;
const GOOD = 2;

/**
 * One picture of the lesson.
 *
 * @typedef {object} Slide
 * @property {string} stage
 * @property {(experiment: Experiment) => number[]} seen the samples that are seen.
 * @property {(experiment: Experiment, state: State, guess: number[] | null) => string} text
 */

/** @type {Slide[]} */
const SLIDES = [
  {
    stage: "scores",
    seen: () => [0],
    text: () =>
      "One sample and its arrow, the score: which way the mean would have to go to make this very sample more likely.",
  },
  { stage: "weighted", seen: () => [0], text: weightText },
  { stage: "weighted", seen: fewOf, text: fewText },
  {
    stage: "weighted",
    seen: allOf,
    text: (_, { samples }) =>
      `All ${samples}. Where would you send the mean? Drag an arrow from it. The answer is in the next picture.`,
  },
  { stage: "average", seen: allOf, text: averageText },
  {
    stage: "step",
    seen: allOf,
    text: ({ expectedReward, expectedRewardAfter }, { scale }) => {
      const digits = digitsFor(scale) - 1;
      const [from, to] = [expectedReward, expectedRewardAfter].map((r) => signed(r, digits));
      return `One step along the average takes the expected reward from ${from} to ${to}. Then draw afresh and repeat: that is all of learning here.`;
    },
  },
];

/** What there is to do once the lesson is over. */
export const TRY =
  "Three things to try: drag the Gaussian onto a region and see the exact gradient go; choose " +
  "leave-one-out and see the cloud shrink; press Run, with “Update the covariance too”.";

/**
 * All samples.
 *
 * @param {Experiment} experiment
 */
function allOf({ weights }) {
  return Array.from(weights.keys());
}

/**
 * A few samples, the first ones, but such that some of the good ones are among them.
 *
 * @param {Experiment} experiment
 */
export function fewOf({ weights }) {
  const all = Array.from(weights.keys());
  const good = all.filter((k) => weights[k] > 0).slice(0, GOOD);
  const others = all.filter((k) => !good.includes(k)).slice(0, FEW - good.length);
  return [...good, ...others].sort((a, b) => a - b);
}

/**
 * What becomes of the one sample's arrow.
 *
 * @param {Experiment} experiment
 * @param {State} state
 */
function weightText({ weights }, { baseline }) {
  const name = baseline === "none" ? "reward" : "weight, the reward compared with the baseline,";
  if (weights[0] > 0)
    return `Its ${name} is above zero, so the arrow counts as it is: more of this.`;
  if (weights[0] < 0) return `Its ${name} is below zero, so the arrow is reversed: less of this.`;
  return `Its ${name} is zero, so the arrow does not count.`;
}

/**
 * What a few samples do.
 *
 * @param {Experiment} experiment
 */
function fewText(experiment) {
  const { weights } = experiment;
  const seen = fewOf(experiment);
  const good = seen.filter((k) => weights[k] > 0).length;
  const isPicked = good > 0 && seen.length < weights.length;
  const who = isPicked
    ? `${seen.length} of the ${weights.length} samples, picked so that good ones are among them.`
    : `${seen.length} samples, ${good || "none"} of them good.`;
  return `${who} Green arrows pull the mean towards their samples, orange ones push it away. No sample knows where the regions are.`;
}

/**
 * The estimate beside the truth, and how far such estimates are from it.
 *
 * @param {Experiment} experiment
 * @param {State} state
 * @param {number[] | null} guess
 */
function averageText({ estimate, exact, chosen, dimensions }, { samples }, guess) {
  const begin =
    "Solid: the average of all arrows, which is the estimate. Dashed: the exact gradient, as from infinitely many samples.";
  if (dimensions !== 2 || Math.hypot(exact[0], exact[1]) === 0) return begin;
  const { estimates } = chosen;
  const turns = Array.from({ length: estimates.length / 2 }, (_, k) =>
    degreesBetween(estimates.subarray(2 * k, 2 * k + 2), exact),
  ).sort((a, b) => a - b);
  const half = Math.round(turns[Math.floor(turns.length / 2)]);
  const own = Math.round(degreesBetween(estimate, exact));
  const yours = guess ? `, and your guess ${Math.round(degreesBetween(guess, exact))}°` : "";
  return `${begin} This estimate is ${own}° off${yours}; half of all estimates from ${samples} samples are more than ${half}° off.`;
}

/**
 * What a state shows: its own stage and all samples, or those of the lesson.
 *
 * @param {State} state
 * @returns {{stage: string, seen: (experiment: Experiment) => number[]}}
 */
export function slideOf({ lesson, stage }) {
  return SLIDES[lesson - 1] ?? { stage, seen: allOf };
}

/**
 * The sentence of a picture of the lesson.
 *
 * @param {Experiment} experiment
 * @param {State} state
 * @param {number[] | null} [guess] the reader's own arrow, if there is one.
 */
export function lessonSentence(experiment, state, guess = null) {
  return SLIDES[state.lesson - 1].text(experiment, state, guess);
}

/**
 * Show the sentence of the lesson.
 *
 * @param {Experiment} experiment
 * @param {State} state
 * @param {number[] | null} guess the reader's own arrow, if there is one.
 * @param {string} verdict on it; empty while it is awaited.
 */
export function showLesson(experiment, state, guess, verdict) {
  const { lesson } = state;
  const slide = SLIDES[lesson - 1];
  element("lesson").hidden = !slide;
  document.body.classList.toggle("leading", lesson > 0 && lesson <= ASKS);
  if (!slide) return;
  const isVerdict = lesson === ASKS && verdict !== "";
  const text = isVerdict ? verdict : lessonSentence(experiment, state, guess);
  write(element("lesson-text"), text);
  write(element("lesson-count"), `${lesson} of ${LESSONS}`);
  buttonOf("lesson-back").disabled = lesson === 1;
  write(buttonOf("lesson-next"), lesson === LESSONS ? "Done" : "Next");
}
