// Controls show the state: tabs, radio buttons, sliders, the open answer.

import { BUILT_IN } from "./reward.js";
import { formatState, parseState } from "./state.js";

/** Every control that has the name of a field of the state, or of a tool. */
export function controls() {
  return document.querySelectorAll("input[name], select[name]");
}

/**
 * Show a state.
 *
 * @param {object} state of `state.js`.
 * @param {{tool: string, brush: number}} tools what the pointer does.
 * @param {string} link the state as text.
 */
export function showControls(state, tools, link) {
  document.body.dataset.tab = state.tab;
  showTool(tools.tool);
  for (const control of controls()) writeControl(control, { ...state, ...tools });
  showWhatApplies(state, tools);
  showTabs(state.tab);
  showAnswer(state.question, link);

  const reward = document.getElementById("reward");
  const isBuiltIn = Object.hasOwn(BUILT_IN, state.reward);
  reward.lastElementChild.hidden = isBuiltIn;
  reward.value = isBuiltIn ? state.reward : "picture";
}

/** The text in a control. */
export function textOf(control) {
  if (control.type === "checkbox") return control.checked ? "1" : "0";
  return control.value;
}

/** Show a field in its control, unless somebody is typing there. */
function writeControl(control, state) {
  const { index } = control.dataset;
  const value = index === undefined ? state[control.name] : state[control.name][index];
  if (control.type === "radio") control.checked = control.value === value;
  else if (control.type === "checkbox") control.checked = value;
  else if (control !== document.activeElement || control.type !== "number") {
    if (control.value !== String(value)) control.value = value;
  }
}

/** The plane takes keys, and so the focus, only while they move a brush. */
function showTool(tool) {
  const plane = document.querySelector(".plane");
  if (plane.dataset.tool === tool) return;
  plane.dataset.tool = tool;
  const canvas = plane.querySelector("canvas");
  canvas.tabIndex = tool === "move" ? -1 : 0;
  canvas.setAttribute("role", tool === "move" ? "img" : "application");
  const help = tool === "move" ? "" : "; arrow keys move the brush, the space bar paints";
  canvas.setAttribute("aria-label", `The plane: reward, Gaussian, samples and arrows${help}`);
}

function showWhatApplies(state, tools) {
  const applies = {
    gaussian: state.tab === "gaussian",
    moves: state.tab === "moves",
    constant: state.baseline === "constant",
    brush: tools.tool !== "move",
    ghost: state.baseline !== "none",
  };
  for (const part of document.querySelectorAll("[data-show]")) part.hidden = !applies[part.dataset.show];
}

function showTabs(chosen) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const isChosen = tab.dataset.tab === chosen;
    tab.setAttribute("aria-selected", isChosen);
    tab.tabIndex = isChosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !isChosen;
  }
}

function showAnswer(question, link) {
  for (const answer of document.querySelectorAll("[data-question]")) {
    const isAsked = answer.dataset.question === question;
    answer.hidden = !isAsked;
    answer.previousElementSibling.setAttribute("aria-expanded", isAsked);
  }
  for (const choice of document.querySelectorAll(".answer:not([hidden]) a")) {
    if (canonical(choice) === link) choice.setAttribute("aria-current", "true");
    else choice.removeAttribute("aria-current");
  }
}

const canonicalLinks = new Map();

/** The state that a link leads to, as the page would write it. */
function canonical(link) {
  if (!canonicalLinks.has(link)) {
    const { state } = parseState(link.getAttribute("href").slice(1));
    canonicalLinks.set(link, formatState(state));
  }
  return canonicalLinks.get(link);
}
