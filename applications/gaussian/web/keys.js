// Keys that belong to no control: undo and redo anywhere, and those of a lecturer in Present.

import { buttonOf } from "./controls.js";
import { LESSONS } from "./state.js";

/** @import { Page } from "./page.js" */
/** @import { State } from "./state.js" */

/**
 * Which way a key, of a keyboard or of a clicker, turns the pictures of a lesson.
 *
 * @type {Record<string, number>}
 */
const TURNS = { "PageDown": 1, "ArrowRight": 1, " ": 1, "PageUp": -1, "ArrowLeft": -1 };

/**
 * Listen to keys.
 *
 * @param {Page} page
 */
export function listenToKeys(page) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey) return;
    const action = event.ctrlKey || event.metaKey ? pastAction(event) : lectureAction(event, page);
    if (!action) return;
    event.preventDefault();
    buttonOf(action).click();
  });
}

/**
 * Undo or redo; in a text field they are the browser's.
 *
 * @param {KeyboardEvent} event
 */
function pastAction({ key, shiftKey, target }) {
  if (target instanceof HTMLInputElement && target.type === "number") return "";
  if (key.toLowerCase() === "y") return "redo";
  if (key.toLowerCase() !== "z") return "";
  return shiftKey ? "redo" : "undo";
}

/**
 * What a key does in Present, unless it belongs to the control that has the focus.
 *
 * @param {{key: string, shiftKey: boolean, repeat: boolean, target: any}} event
 * @param {{state: State}} page
 */
export function lectureAction({ key, shiftKey, repeat, target }, { state: { view, lesson } }) {
  const { tagName } = target;
  if (view !== "lecture" || shiftKey || repeat || tagName === "SELECT") return "";
  if (key === "Escape") return "present";
  const turned = lesson + TURNS[key];
  const isOwn = tagName === "INPUT" || (key === " " && tagName === "BUTTON");
  if (lesson === 0 || isOwn || !(turned >= 1 && turned <= LESSONS)) return "";
  return turned > lesson ? "lesson-next" : "lesson-back";
}
