// Buttons, controls and keys: what people do to the page besides the plane.

import { actionsOf } from "./actions.js";
import { answered, controls, labelOf, textOf } from "./controls.js";
import { element, elements, keepInPlace } from "./elements.js";
import { drawsIn } from "./files.js";
import { pictureIn } from "./images.js";
import { listenToKeys } from "./keys.js";
import { LONG_LINK, longLinkSentence } from "./messages.js";
import { BUILT_IN, pictureText } from "./reward.js";
import { consistent, fieldFrom, isField, messageOf } from "./state.js";

/** @import { Control } from "./controls.js" */
/** @import { Page } from "./page.js" */
/** @import { State } from "./state.js" */

/**
 * Listen to all controls of a page.
 *
 * @param {Page} page
 */
export function listen(page) {
  for (const control of controls()) listenToControl(page, control);
  element("controls").addEventListener("submit", (event) => event.preventDefault());
  listenToReward(page);
  listenToFiles(page);

  const actions = actionsOf(page);
  for (const button of elements("[data-action]")) {
    button.addEventListener("click", () =>
      keepInPlace(button, actions[button.dataset.action ?? ""]),
    );
  }
  for (const tab of elements("[role=tab]")) {
    tab.addEventListener("click", () => page.openTab(tab.dataset.tab ?? ""));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      event.preventDefault();
      page.openTab(tab.dataset.tab === "gaussian" ? "moves" : "gaussian");
      element(`tab-${page.state.tab}`).focus();
    });
  }
  listenToKeys(page);
  listenToWindow(page);
}

/**
 * A control is followed as it changes; text that is no number leaves what was before it was typed.
 *
 * @param {Page} page
 * @param {Control} control
 */
function listenToControl(page, control) {
  const { name } = control;
  /** @type {State} */
  let before = page.state;
  control.addEventListener("focus", () => {
    before = page.state;
  });
  control.addEventListener("input", () => {
    if (name === "tool" || name === "brush") readTool(page, control);
    else if (name === "panel") keepInPlace(control, () => readControl(page, control, before));
    else readControl(page, control, before);
  });
  control.addEventListener("change", () => {
    page.store.seal(gestureOf(control));
    before = page.state;
  });
  control.addEventListener("blur", () => {
    if (control.dataset.wrong) page.messages.complain([]);
    delete control.dataset.wrong;
    page.screen.request(); // what was typed in vain goes
  });
}

/**
 * @param {Page} page
 * @param {Control} control
 */
function readTool(page, control) {
  page.messages.complain([]);
  if (control.name === "brush") page.tools.brush = Number(control.value);
  else page.tools.tool = control.value;
  if (page.tools.tool === "guess") page.runner.stop(); // one guesses at a picture that stands still
  page.screen.guess = null;
  page.screen.request();
}

/**
 * @param {Page} page
 * @param {Control} control
 * @param {State} before it was typed in.
 */
function readControl(page, control, before) {
  const { name, type } = control;
  if (!isField(name)) return;
  const gesture = gestureOf(control);
  try {
    const fields = fieldFrom(name, textOf(control), page.state, control.dataset.index);
    delete control.dataset.wrong;
    page.change({ ...fields, ...consequences(name) }, { glides: type !== "range", gesture });
  } catch (error) {
    control.dataset.wrong = "yes";
    if (type === "number") page.change(fieldsBefore(name, before), { gesture });
    page.messages.complain([`${labelOf(control)}: ${messageOf(error)}`]);
  }
}

/**
 * A slider that is drawn, or a number that is typed, is one entry of the past.
 *
 * @param {Control} control
 */
function gestureOf({ name, type, dataset }) {
  return type === "range" || type === "number" ? `${name} ${dataset.index}` : "";
}

/**
 * A field, and what changes along with it, as they were.
 *
 * @param {keyof State} name
 * @param {State} before
 * @returns {Partial<State>}
 */
function fieldsBefore(name, before) {
  const names = /** @type {(keyof State)[]} */ ([name, ...Object.keys(consequences(name))]);
  return Object.fromEntries(names.map((own) => [own, before[own]]));
}

/**
 * What changes along with a field.
 *
 * @param {string} name
 * @returns {Partial<State>}
 */
function consequences(name) {
  // Other samples, or another seed, are other draws than those that were given.
  if (name === "samples" || name === "seed") return { draws: null };
  if (name === "baseline") return { average: [0, 0] };
  return name === "stage" ? { lesson: 0 } : {};
}

/** @param {Page} page */
function listenToReward(page) {
  const reward = /** @type {HTMLSelectElement} */ (element("reward"));
  reward.addEventListener("change", () => {
    const chosen = Object.hasOwn(BUILT_IN, reward.value) ? reward.value : page.store.own;
    page.change({ reward: chosen }, { glides: true });
  });
}

/** @param {Page} page */
function listenToFiles(page) {
  listenToFile(page, "draws-file", drawsIn);
  listenToFile(page, "picture-file", async (file) => ({
    reward: pictureText(await pictureIn(file)),
  }));
}

/**
 * @param {Page} page
 * @param {string} id of the input.
 * @param {(file: File, state: State) => Promise<Partial<State>>} fieldsIn
 */
function listenToFile(page, id, fieldsIn) {
  const input = /** @type {HTMLInputElement} */ (element(id));
  input.addEventListener("change", async () => {
    const [file] = input.files ?? [];
    page.runner.stop();
    page.messages.clear();
    if (!file) return;
    try {
      const fields = { ...(await fieldsIn(file, page.state)), lesson: 0 };
      const { errors } = answered(consistent({ ...page.state, ...fields }));
      if (errors.length > 0) throw new Error(`${file.name}: ${errors.join(". ")}`);
      page.change(fields);
      if (page.link.length > LONG_LINK) page.messages.tell(longLinkSentence(page.link.length));
    } catch (error) {
      page.messages.complain([messageOf(error)]);
    }
    input.value = ""; // so that the same file can be chosen again
  });
}

/** @param {Page} page */
function listenToWindow(page) {
  addEventListener("hashchange", () => page.follow());
  addEventListener("resize", () => page.screen.request());
  const sizes = new ResizeObserver(() => page.screen.request());
  for (const canvas of elements("canvas")) sizes.observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.screen.paint());
}
