// The page: a state, what follows from it, and what people do to it.

import { Cloud } from "./cloud.js";
import { gaussianExperiment, movesExperiment } from "./experiment.js";
import { captionOf, numbersOf, showFigures, signed, statusOf, worthOf } from "./figures.js";
import { Hands } from "./hands.js";
import { MovesTable } from "./moves.js";
import { Plane } from "./plane.js";
import { columnSteps } from "./quadrature.js";
import { noiseOf, pointsOf } from "./normal.js";
import { BUILT_IN, levelsOf, levelsOfImage, levelsOfText, paintDisc, pngOf, textOfLevels } from "./reward.js";
import { DEFAULTS, fieldFrom, formatState, numbersIn, parseState, settled } from "./state.js";

const element = (id) => document.getElementById(id);
const controls = () => document.querySelectorAll("[name]");

/** Steps a second while it runs. */
const PACE = 8;
/** What a paragraph's hover leaves of the other parts. */
const FADED = 0.12;

/** The page, from the first paint on. */
class Page {
  #state = { ...DEFAULTS };
  #picture = null;
  #experiment = null;
  #tools = { tool: "move", brush: 0.4 };
  #preview = { parts: null, stage: null };
  #running = null;
  #frame = 0;
  #announcement = 0;
  #plane = new Plane(element("plane"));
  #cloud = new Cloud(element("cloud"));
  #moves = new MovesTable(element("moves"));
  #hands = new Hands(document.querySelector(".plane"), this.#forHands());

  constructor() {
    this.#listenToControls();
    this.#listenToReaders();
    addEventListener("hashchange", () => this.#follow(location.hash));
    addEventListener("resize", () => this.#request());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#plane.setPicture(this.#picture.levels);
      this.#request();
    });
    this.#follow(location.hash || document.body.dataset.state || "");
  }

  // ---------------------------------------------------------------- state

  /** Become what a link says. */
  #follow(hash) {
    this.#stop();
    const { state, errors } = parseState(hash.replace(/^#/, ""));
    this.#change(state, { glides: true, errors });
  }

  /** Change some fields; a hand that drags is followed at once, all else glides. */
  #change(fields, { glides = false, errors = [] } = {}) {
    const { state, errors: more } = settled({ ...this.#state, ...fields });
    const reward = state.reward !== this.#state.reward || !this.#picture;
    this.#state = state;
    if (reward) this.#setLevels(levelsFor(state.reward));
    this.#complain([...errors, ...more]);
    this.#compute(glides);
  }

  #setLevels(levels) {
    this.#picture = { levels, columns: columnSteps(levels) };
    this.#plane.setPicture(levels);
  }

  #complain(errors) {
    element("error").textContent = errors.join(". ");
    element("error").hidden = errors.length === 0;
  }

  #compute(glides) {
    const state = this.#state;
    this.#experiment =
      state.tab === "gaussian" ? gaussianExperiment(state, this.#picture) : movesExperiment(state);
    if (state.tab === "gaussian") this.#plane.show(this.#experiment, this.#stage, glides);
    this.#cloud.show(this.#experiment, glides);
    this.#request();

    // The address and the live region wait for a hand to rest.
    clearTimeout(this.#announcement);
    this.#announcement = setTimeout(() => {
      history.replaceState(null, "", `#${this.#link()}`);
      element("status").textContent = statusOf(this.#experiment, state);
    }, 400);
  }

  #link() {
    return formatState(this.#state);
  }

  get #stage() {
    return this.#preview.stage ?? this.#state.stage;
  }

  // ---------------------------------------------------------------- drawing

  #request() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const [state, experiment, stage] = [this.#state, this.#experiment, this.#stage];
    const { parts } = this.#preview;
    const opacity = (part) => (!parts || parts.includes(part) ? 1 : FADED);
    const isGaussian = state.tab === "gaussian";

    document.body.dataset.tab = state.tab;
    this.#drawControls(state);
    if (isGaussian) {
      this.#plane.draw(experiment, opacity);
      this.#hands.place(experiment.before);
    } else {
      this.#moves.draw(experiment, stage, opacity);
    }
    this.#cloud.draw(experiment, state.baseline !== "none", opacity("cloud"));

    showFigures(experiment);
    element("worth").textContent = worthOf(experiment, state);
    element("caption").textContent = this.#hovered ?? captionOf(experiment, state, stage);
    if (this.#plane.moves || this.#cloud.moves) this.#request();
  }

  #drawControls(state) {
    const shown = {
      gaussian: state.tab === "gaussian",
      constant: state.baseline === "constant",
      brush: this.#tools.tool !== "move",
    };
    for (const part of document.querySelectorAll("[data-show]")) part.hidden = !shown[part.dataset.show];
    for (const tab of document.querySelectorAll("[role=tab]")) {
      const isChosen = tab.dataset.tab === state.tab;
      tab.setAttribute("aria-selected", isChosen);
      tab.tabIndex = isChosen ? 0 : -1;
      element(`panel-${tab.dataset.tab}`).hidden = !isChosen;
    }
    for (const answer of document.querySelectorAll("[data-question]")) {
      const isAsked = answer.dataset.question === state.question;
      answer.hidden = !isAsked;
      answer.previousElementSibling.setAttribute("aria-expanded", isAsked);
    }
    for (const link of document.querySelectorAll(".answer a")) {
      link.toggleAttribute("aria-current", link.getAttribute("href") === `#${this.#link()}`);
    }
    for (const control of controls()) writeControl(control, { ...state, ...this.#tools });
    const isBuiltIn = Object.hasOwn(BUILT_IN, state.reward);
    element("reward").lastElementChild.hidden = isBuiltIn;
    element("reward").value = isBuiltIn ? state.reward : "picture";
    element("ghost-key").hidden = state.baseline === "none";
    document.querySelector(".plane").dataset.tool = this.#tools.tool;
  }

  // ---------------------------------------------------------------- hands

  #hovered = null;

  /** What hands on the plane act on. */
  #forHands() {
    return {
      gaussian: () => ({ mean: this.#state.mean, factor: this.#state.factor }),
      setGaussian: (gaussian) => this.#change({ ...gaussian, draws: this.#carried(gaussian) }),
      tool: () => this.#tools.tool,
      brush: () => this.#tools.brush,
      paint: (stroke) => this.#paint(stroke),
      hover: (x, y) => this.#hover(x, y),
    };
  }

  /** Given draws move along with their Gaussian: they stay draws of it. */
  #carried(gaussian) {
    if (!this.#state.draws) return null;
    const noise = noiseOf(this.#experiment.before, Float64Array.from(this.#state.draws));
    return Array.from(pointsOf(gaussian, noise));
  }

  #paint(stroke) {
    const level = this.#tools.tool === "good" ? 255 : 0;
    let { levels } = this.#picture;
    for (const [x, y] of stroke) levels = paintDisc(levels, x, y, this.#tools.brush, level);
    this.#change({ reward: `picture:${textOfLevels(levels)}` });
  }

  /** The sample under a pointer, in figures. */
  #hover(x, y) {
    const { points, logProbs, scores, rewards, weights } = this.#experiment;
    let nearest = -1;
    let distance = 0.2;
    for (let k = 0; x !== null && k < weights.length; k++) {
      const own = Math.hypot(points[2 * k] - x, points[2 * k + 1] - y);
      if (own < distance) [nearest, distance] = [k, own];
    }
    const pair = (values) => `(${signed(values[2 * nearest], 2)}, ${signed(values[2 * nearest + 1], 2)})`;
    this.#hovered =
      nearest < 0
        ? null
        : `x = ${pair(points)}: log p = ${signed(logProbs[nearest], 2)}, score ${pair(scores)}, ` +
          `reward ${signed(rewards[nearest], 2)}, less baseline ${signed(weights[nearest], 2)}`;
    this.#request();
  }

  // ---------------------------------------------------------------- controls

  #listenToControls() {
    for (const control of controls()) {
      control.addEventListener("input", () => this.#readControl(control));
    }
    element("controls").addEventListener("submit", (event) => event.preventDefault());
    element("reward").addEventListener("change", (event) => {
      if (Object.hasOwn(BUILT_IN, event.target.value)) this.#change({ reward: event.target.value }, { glides: true });
    });
    for (const button of document.querySelectorAll("[data-action]")) {
      button.addEventListener("click", () => this.#act(button.dataset.action, button));
    }
    for (const tab of document.querySelectorAll("[role=tab]")) {
      tab.addEventListener("click", () => this.#openTab(tab.dataset.tab));
      tab.addEventListener("keydown", (event) => {
        if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
        this.#openTab(tab.dataset.tab === "gaussian" ? "moves" : "gaussian");
        document.querySelector(`[data-tab=${this.#state.tab}]`).focus();
      });
    }
    element("picture-file").addEventListener("change", (event) => this.#loadPicture(event.target));
    element("draws-file").addEventListener("change", (event) => this.#loadDraws(event.target));
  }

  #readControl(control) {
    const { name } = control;
    if (name in this.#tools) {
      this.#tools[name] = name === "brush" ? Number(control.value) : control.value;
      this.#request();
      return;
    }
    const text = control.type === "checkbox" ? (control.checked ? "1" : "0") : control.value;
    try {
      const value = fieldFrom(name, text, this.#state, control.dataset.index);
      // Other samples, or another seed, are other draws than those that were given.
      const draws = name === "samples" || name === "seed" ? { draws: null } : {};
      const average = name === "baseline" ? { average: [0, 0] } : {};
      this.#change({ [name]: value, ...draws, ...average }, { glides: control.type !== "range" });
    } catch (error) {
      this.#complain([`${name}: ${error.message}`]);
    }
  }

  #openTab(tab) {
    this.#stop();
    if (tab !== this.#state.tab) this.#change({ tab, draws: null, average: [0, 0], question: "" });
  }

  #act(action, button) {
    const actions = {
      "again": () => this.#change({ seed: this.#state.seed + 1, draws: null }),
      "step": () => this.#takeStep(),
      "run": () => (this.#running ? this.#stop() : this.#run()),
      "reset": () => this.#reset(),
      "copy": () => this.#copy(button),
      "save": () => this.#saveNumbers(),
      "load": () => element("draws-file").click(),
      "load-picture": () => element("picture-file").click(),
      "save-picture": async () => download("reward.png", await pngOf(this.#picture.levels)),
    };
    actions[action]();
  }

  /** Go where the estimate points, and draw afresh. */
  #takeStep() {
    const { after, nextAverage } = this.#experiment;
    const { tab, seed } = this.#state;
    const place = tab === "gaussian" ? after : { logits: after.logits };
    const isFinite = Object.values(place).flat().every((value) => Math.abs(value) < 20);
    if (!isFinite) {
      this.#stop();
      this.#complain(["This step leads too far away: lower the learning rate"]);
      return;
    }
    this.#change({ ...place, average: nextAverage, seed: seed + 1, draws: null });
  }

  #run() {
    this.#running = setInterval(() => this.#takeStep(), 1000 / PACE);
    this.#showRunning();
  }

  #stop() {
    clearInterval(this.#running);
    this.#running = null;
    this.#showRunning();
  }

  #showRunning() {
    const button = document.querySelector("[data-action=run]");
    button.textContent = this.#running ? "Stop" : "Run";
    button.setAttribute("aria-pressed", Boolean(this.#running));
  }

  #reset() {
    this.#stop();
    this.#change({ ...DEFAULTS, tab: this.#state.tab, stage: this.#state.stage }, { glides: true });
  }

  async #copy(button) {
    const address = `${location.href.split("#")[0]}#${this.#link()}`;
    history.replaceState(null, "", address);
    try {
      await navigator.clipboard.writeText(address);
      button.textContent = "Copied";
    } catch {
      button.textContent = "The link is in the address bar";
    }
    setTimeout(() => (button.textContent = "Copy link"), 2000);
  }

  // ---------------------------------------------------------------- files

  #saveNumbers() {
    const text = JSON.stringify(numbersOf(this.#experiment, this.#state));
    download("estimate.json", new Blob([text], { type: "application/json" }));
  }

  async #loadPicture(input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    try {
      const levels = levelsOfImage(await createImageBitmap(file));
      this.#change({ reward: `picture:${textOfLevels(levels)}` });
    } catch {
      this.#complain([`${file.name} is no image that this browser can read`]);
    }
  }

  async #loadDraws(input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    try {
      const text = await file.text();
      const saved = text.trimStart().startsWith("{") ? JSON.parse(text) : null;
      if (saved && !Array.isArray(saved.draws)) throw new Error("there are no draws in it");
      const draws = saved ? numbersIn(saved.draws.join(" ")) : numbersIn(text.replace(/[[\]]/g, " "));
      if (draws.length === 0) throw new Error("there are no draws in it");
      this.#change({ ...(saved?.state ?? {}), draws });
    } catch (error) {
      this.#complain([`${file.name}: ${error.message}`]);
    }
  }

  // ---------------------------------------------------------------- readers

  /** A paragraph that is pointed at, or focused, shows what it speaks of. */
  #listenToReaders() {
    for (const paragraph of document.querySelectorAll("[data-shows]")) {
      const show = () => this.#showParts(paragraph);
      const hide = () => this.#showParts(document.querySelector("[data-shows]:focus"));
      paragraph.addEventListener("mouseenter", show);
      paragraph.addEventListener("mouseleave", hide);
      paragraph.addEventListener("focus", show);
      paragraph.addEventListener("blur", () => this.#showParts(null));
    }
  }

  #showParts(paragraph) {
    const parts = paragraph?.dataset.shows.split(" ") ?? null;
    this.#preview = { parts, stage: paragraph?.dataset.stage ?? null };
    for (const part of document.querySelectorAll("[data-part]")) {
      const isMeant = parts?.some((name) => part.dataset.part.split(" ").includes(name));
      part.classList.toggle("meant", Boolean(isMeant));
    }
    if (this.#state.tab === "gaussian") this.#plane.show(this.#experiment, this.#stage, true);
    this.#request();
  }
}

/** The levels of a state's reward. */
function levelsFor(reward) {
  return Object.hasOwn(BUILT_IN, reward) ? levelsOf(reward) : levelsOfText(reward.slice("picture:".length));
}

/** Show a field in its control, unless somebody is typing there. */
function writeControl(control, state) {
  const value = control.dataset.index ? state[control.name][control.dataset.index] : state[control.name];
  if (control.type === "radio") control.checked = control.value === value;
  else if (control.type === "checkbox") control.checked = value;
  else if (control !== document.activeElement || control.type !== "number") control.value = value;
}

function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

new Page();
