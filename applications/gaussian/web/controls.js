// Controls show the state: tabs, radio buttons, sliders, the open answer.

import { element, elements, first, write } from "./elements.js";
import { quoted } from "./fields.js";
import { BUILT_IN } from "./reward.js";
import { formatState, parseState } from "./state.js";

/** @import { Parsed, State } from "./state.js" */

/**
 * What the pointer does.
 *
 * @typedef {{tool: string, brush: number}} Tools
 */

/** @typedef {HTMLInputElement | HTMLSelectElement} Control */

/**
 * Every control that has the name of a field of the state, or of a tool.
 *
 * @returns {Control[]}
 */
export function controls() {
  return /** @type {Control[]} */ (elements("input[name], select[name]"));
}

/**
 * What controls show besides the state.
 *
 * @typedef {object} Surroundings
 * @property {string} link the state as text.
 * @property {string} own the reward that was painted or loaded last; empty for none.
 * @property {boolean} canUndo
 * @property {boolean} canRedo
 * @property {boolean} isRunning
 * @property {boolean} hasRaced whether there are runs with several baselines.
 * @property {boolean} hasTrails whether runs have left paths of the mean.
 */

/**
 * Show a state.
 *
 * @param {State} state
 * @param {string} stage the one that is shown, in a lesson by its picture.
 * @param {Tools} tools
 * @param {Surroundings} surroundings
 */
export function showControls(state, stage, tools, surroundings) {
  const { link, own, canUndo, canRedo, isRunning } = surroundings;
  document.body.dataset.tab = state.tab;
  document.body.dataset.view = state.view;
  document.body.dataset.panel = state.panel;
  showTool(tools.tool);
  for (const control of controls()) writeControl(control, { ...state, stage, ...tools });
  showWhatApplies(state, tools, surroundings);
  showTabs(state.tab);
  showAnswer(state.question, link.replace("&view=lecture", "")); // its links are those of the page

  const reward = /** @type {HTMLSelectElement} */ (element("reward"));
  const isBuiltIn = Object.hasOwn(BUILT_IN, state.reward);
  /** @type {HTMLOptionElement} */ (reward.lastElementChild).hidden = own === "";
  reward.value = isBuiltIn ? state.reward : "picture";
  write(buttonOf("run"), isRunning ? "Stop" : "Run");
  buttonOf("run").classList.toggle("running", isRunning);
  buttonOf("undo").disabled = !canUndo;
  buttonOf("redo").disabled = !canRedo;
  write(buttonOf("present"), state.view === "lecture" ? "Leave" : "Present");
}

/**
 * The button of an action.
 *
 * @param {string} action
 */
export function buttonOf(action) {
  return /** @type {HTMLButtonElement} */ (first(`[data-action=${action}]`));
}

/**
 * The text in a control.
 *
 * @param {Control} control
 */
export function textOf(control) {
  if (control.type === "checkbox") return isChecked(control) ? "1" : "0";
  return control.value;
}

/** @param {Control} control */
function isChecked(control) {
  return control instanceof HTMLInputElement && control.checked;
}

/**
 * The name that people read beside a control.
 *
 * @param {Control} control
 */
export function labelOf(control) {
  const own = control.getAttribute("aria-label")?.replace(/, number$/, "");
  return own ?? control.labels?.[0]?.textContent?.trim() ?? control.name;
}

/**
 * Show a field in its control, unless somebody is typing there.
 *
 * @param {Control} control
 * @param {Record<string, any>} fields
 */
function writeControl(control, fields) {
  const { index } = control.dataset;
  const value = index === undefined ? fields[control.name] : fields[control.name][index];
  if (control instanceof HTMLSelectElement) {
    if (control.value !== value) control.value = value;
  } else if (control.type === "radio") {
    control.checked = control.value === value;
  } else if (control.type === "checkbox") {
    control.checked = value;
  } else if (control !== document.activeElement || control.type !== "number") {
    if (control.type === "range") widen(control, value);
    if (control.value !== String(value)) control.value = value;
  }
}

/**
 * A slider reaches as far as its value, which may have been typed; else it would pin in silence.
 *
 * @param {HTMLInputElement} slider
 * @param {number} value
 */
function widen(slider, value) {
  slider.dataset.min ??= slider.min;
  slider.dataset.max ??= slider.max;
  const { min = "", max = "" } = slider.dataset;
  const [least, most] = [Math.min(Number(min), value), Math.max(Number(max), value)];
  if (Number(slider.min) !== least) slider.min = String(least);
  if (Number(slider.max) !== most) slider.max = String(most);
}

/**
 * The plane takes keys, and so the focus, only while they move a brush.
 *
 * @param {string} tool
 */
function showTool(tool) {
  const plane = first(".plane");
  if (plane.dataset.tool === tool) return;
  plane.dataset.tool = tool;
  const canvas = element("plane");
  canvas.tabIndex = tool === "move" ? -1 : 0;
  canvas.setAttribute("role", tool === "move" ? "img" : "application");
  const verb = tool === "guess" ? "sets the tip of your arrow" : "paints";
  const help = tool === "move" ? "" : `; arrow keys move the pointer, the space bar ${verb}`;
  canvas.setAttribute("aria-label", `The plane: reward, Gaussian, samples and arrows${help}`);
}

/**
 * @param {State} state
 * @param {Tools} tools
 * @param {Surroundings} surroundings
 */
function showWhatApplies(state, tools, { hasRaced, hasTrails }) {
  /** @type {Record<string, boolean>} */
  const applies = {
    gaussian: state.tab === "gaussian",
    moves: state.tab === "moves",
    constant: state.baseline === "constant",
    brush: tools.tool === "good" || tools.tool === "bad",
    ghost: state.baseline !== "none",
    cloud: state.panel === "cloud",
    clouds: state.panel === "clouds",
    runs: state.panel === "runs",
    terms: state.panel === "terms",
    raced: hasRaced,
    fixed: state.tab === "gaussian" && !state.covariance,
    trails: hasTrails,
    lecture: state.view === "lecture",
  };
  for (const part of elements("[data-show]")) part.hidden = !applies[part.dataset.show ?? ""];
}

/** @param {string} chosen */
function showTabs(chosen) {
  for (const tab of elements("[role=tab]")) {
    const isChosen = tab.dataset.tab === chosen;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
    element(tab.getAttribute("aria-controls") ?? "").hidden = !isChosen;
  }
}

/**
 * @param {string} question
 * @param {string} link the state as text.
 */
function showAnswer(question, link) {
  for (const answer of elements("[data-question]")) {
    const isAsked = answer.dataset.question === question;
    answer.hidden = !isAsked;
    answer.previousElementSibling?.setAttribute("aria-expanded", String(isAsked));
  }
  for (const choice of elements(".answer:not([hidden]) a")) {
    if (canonical(choice) === link) choice.setAttribute("aria-current", "true");
    else choice.removeAttribute("aria-current");
  }
}

/**
 * A state with a question that the page answers, or with none.
 *
 * @param {Parsed} parsed
 * @returns {Parsed}
 */
export function answered({ state, errors }) {
  const { question } = state;
  const names = elements("[data-question]").map(({ dataset }) => dataset.question);
  if (question === "" || names.includes(question)) return { state, errors };
  const error = `question: ${quoted(question)} is not one of ${names.join(", ")}; none is opened`;
  return { state: { ...state, question: "" }, errors: [...errors, error] };
}

/** @type {Map<HTMLElement, string>} */
const canonicalLinks = new Map();

/**
 * The state that a link leads to, as the page would write it.
 *
 * @param {HTMLElement} link
 */
function canonical(link) {
  const known = canonicalLinks.get(link);
  if (known !== undefined) return known;
  const text = formatState(parseState(link.getAttribute("href")?.slice(1) ?? "").state);
  canonicalLinks.set(link, text);
  return text;
}
