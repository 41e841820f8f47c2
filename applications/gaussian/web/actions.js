// What each button does.

import { buttonOf } from "./controls.js";
import { element, first } from "./elements.js";
import { numbersOf } from "./export.js";
import { save } from "./files.js";
import { TRY } from "./lesson.js";
import { LONG_LINK, longLinkSentence } from "./messages.js";
import { pngOf } from "./reward.js";
import { nextSeed } from "./runner.js";
import { LESSONS } from "./state.js";

/** @import { Page } from "./page.js" */

/**
 * An action for each button, by the name in its `data-action`.
 *
 * @param {Page} page
 * @returns {Record<string, () => void>}
 */
export function actionsOf(page) {
  return { ...experimentActions(page), ...lessonActions(page), ...fileActions(page) };
}

/**
 * @param {Page} page
 * @returns {Record<string, () => void>}
 */
function experimentActions(page) {
  const { runner, store } = page;
  const travel = (/** @type {() => void} */ move) => {
    runner.stop();
    page.messages.clear();
    move();
    page.refresh(true);
  };
  const clearRuns = () => {
    runner.stop();
    store.clearCourses();
    page.screen.request();
  };
  return {
    "again": () => page.change({ seed: nextSeed(page.state.seed), draws: null }),
    "step": () => page.step(),
    "run": () => {
      page.messages.clear();
      if (runner.isRunning) {
        runner.stop();
        return;
      }
      page.change({ panel: "runs", lesson: 0 });
      runner.run();
    },
    "race": () => {
      page.messages.clear();
      page.change({ panel: "runs", lesson: 0 });
      runner.race();
    },
    "clear-runs": clearRuns,
    "clear-trails": clearRuns,
    "undo": () => travel(() => store.undo()),
    "redo": () => travel(() => store.redo()),
    "reset": () => travel(() => page.messages.complain(store.reset())),
    "close-answer": () => page.change({ question: "" }),
    "present": () => {
      page.change({ view: page.state.view === "lecture" ? "page" : "lecture" });
      if (page.state.lesson > 0) buttonOf("lesson-next").focus(); // where the space bar goes on
    },
  };
}

/**
 * @param {Page} page
 * @returns {Record<string, () => void>}
 */
function lessonActions(page) {
  const turn = (/** @type {number} */ lesson) => {
    page.change({ lesson: lesson > LESSONS ? 0 : lesson }, { glides: true });
    page.messages.tell(lesson > LESSONS ? TRY : "");
    if (page.state.lesson === 0) first("#tab-gaussian").focus();
  };
  return {
    "lesson-next": () => turn(page.state.lesson + 1),
    "lesson-back": () => turn(page.state.lesson - 1),
    "lesson-skip": () => turn(0),
  };
}

/**
 * @param {Page} page
 * @returns {Record<string, () => void>}
 */
function fileActions(page) {
  return {
    "copy": () => copy(page),
    "save": () => {
      const numbers = numbersOf(page.experiment, page.state, page.distribution);
      save("estimate.json", new Blob([JSON.stringify(numbers)], { type: "application/json" }));
    },
    "load": () => element("draws-file").click(),
    "load-picture": () => element("picture-file").click(),
    "save-picture": async () => save("reward.png", await pngOf(page.picture.levels)),
  };
}

/** @param {Page} page */
async function copy(page) {
  const button = buttonOf("copy");
  const address = `${location.href.split("#")[0]}#${page.link}`;
  history.replaceState(null, "", address);
  const notes = [];
  if (page.link.length > LONG_LINK) notes.push(longLinkSentence(page.link.length));
  if (location.protocol === "file:") {
    notes.push(
      "This page is a file on your computer, so others cannot open its link. The part after # is " +
        "what travels: it does the same after the address of any copy of the page.",
    );
  }
  page.messages.tell(notes.join(" "));
  try {
    await navigator.clipboard.writeText(address);
    button.textContent = "Copied";
  } catch {
    button.textContent = "This browser does not allow it";
  }
  setTimeout(() => {
    button.textContent = "Copy link";
  }, 2000);
}
