// The page: a state, what follows from it, and what people do to it.

import { Cloud } from "./cloud.js";
import { controls, showControls, textOf } from "./controls.js";
import { gaussianExperiment, movesExperiment } from "./experiment.js";
import { captionOf, numbersOf, sampleNear, showFigures, statusOf, worthOf, write } from "./figures.js";
import { drawsIn, pictureIn, save } from "./files.js";
import { Hands } from "./hands.js";
import { MovesTable } from "./moves.js";
import { noiseOf, pointsOf, problemOf } from "./normal.js";
import { Plane } from "./plane.js";
import { columnSteps } from "./quadrature.js";
import { listenToReaders } from "./readers.js";
import { BUILT_IN, levelsOf, paintDisc, pictureText, pngOf } from "./reward.js";
import { consistent, DEFAULTS, fieldFrom, formatState, parseState } from "./state.js";

const element = (id) => document.getElementById(id);

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
  #hovered = null;
  #running = null;
  #frame = 0;
  #announcement = 0;
  #plane = new Plane(element("plane"));
  #cloud = new Cloud(element("cloud"));
  #moves = new MovesTable(element("moves"));
  #hands = new Hands(document.querySelector(".plane"), this.#forHands());

  constructor() {
    this.#listenToControls();
    listenToReaders((preview) => this.#show(preview));
    addEventListener("hashchange", () => this.#follow());
    addEventListener("resize", () => this.#request());
    const sizes = new ResizeObserver(() => this.#request());
    for (const canvas of document.querySelectorAll("canvas")) sizes.observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#plane.setPicture(this.#picture.levels);
      this.#request();
    });
    this.#follow();
  }

  // ---------------------------------------------------------------- state

  /** Become what the address says, or what the page was made with. */
  #follow() {
    this.#stop();
    const text = location.hash.slice(1) || document.body.dataset.state || "";
    const { state, errors } = parseState(text);
    if (state.question !== this.#state.question) this.#cloud.rescale();
    this.#change(state, { glides: true, errors });
  }

  /** Change some fields; a hand that drags is followed at once, all else glides. */
  #change(fields, { glides = false, errors = [] } = {}) {
    const { state, errors: more } = consistent({ ...this.#state, ...fields });
    const reward = state.reward !== this.#state.reward || !this.#picture;
    this.#state = state;
    if (reward) this.#setLevels(levelsOf(state.reward));
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
    return formatState(this.#state) || "tab=gaussian"; // an empty one would be what the page was made with
  }

  get #stage() {
    return this.#preview.stage ?? this.#state.stage;
  }

  /** Show what a paragraph speaks of, for as long as it is read. */
  #show(preview) {
    this.#preview = preview;
    if (this.#state.tab === "gaussian") this.#plane.show(this.#experiment, this.#stage, true);
    this.#request();
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

    if (isGaussian) {
      this.#plane.draw(experiment, opacity);
      this.#hands.place(experiment.before);
    } else {
      this.#moves.draw(experiment, stage, opacity);
    }
    this.#cloud.draw(experiment, state.baseline !== "none", opacity("cloud"));

    // The rest is written last: reading a size after it would lay the page out twice.
    showControls(state, this.#tools, this.#link());
    showFigures(experiment, state);
    write(element("worth"), worthOf(experiment, state));
    const sample = isGaussian && this.#hovered && sampleNear(experiment, ...this.#hovered);
    write(element("caption"), sample || captionOf(experiment, state, stage));
    if (this.#plane.moves || this.#cloud.moves) this.#request();
  }

  // ---------------------------------------------------------------- hands

  /** What hands on the plane act on. */
  #forHands() {
    return {
      gaussian: () => ({ mean: this.#state.mean, factor: this.#state.factor }),
      setGaussian: (gaussian) => {
        this.#stop();
        if (this.#state.tab === "gaussian") this.#change({ ...gaussian, draws: this.#carried(gaussian) });
      },
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
    this.#change({ reward: pictureText(levels) });
  }

  /** Say of the sample under a pointer what it is. */
  #hover(x, y) {
    this.#hovered = x === null ? null : [x, y];
    this.#request();
  }

  // ---------------------------------------------------------------- controls

  #listenToControls() {
    for (const control of controls()) {
      control.addEventListener("input", () => this.#readControl(control));
      control.addEventListener("blur", () => this.#request()); // what was typed in vain goes
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
        element(`tab-${this.#state.tab}`).focus();
      });
    }
    const rewardIn = async (file) => ({ reward: pictureText(await pictureIn(file)) });
    element("picture-file").addEventListener("change", (event) => this.#load(event.target, rewardIn));
    element("draws-file").addEventListener("change", (event) => this.#load(event.target, drawsIn));
  }

  #readControl(control) {
    const { name } = control;
    if (name in this.#tools) {
      this.#tools[name] = name === "brush" ? Number(control.value) : control.value;
      this.#request();
      return;
    }
    try {
      const value = fieldFrom(name, textOf(control), this.#state, control.dataset.index);
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
    if (tab === this.#state.tab) return;
    this.#cloud.rescale();
    this.#change({ tab, draws: null, average: [0, 0], question: "" });
  }

  #act(action, button) {
    const actions = {
      "again": () => this.#change({ seed: nextSeed(this.#state.seed), draws: null }),
      "step": () => this.#takeStep(),
      "run": () => (this.#running ? this.#stop() : this.#run()),
      "reset": () => this.#reset(),
      "copy": () => this.#copy(button),
      "save": () => this.#saveNumbers(),
      "load": () => element("draws-file").click(),
      "load-picture": () => element("picture-file").click(),
      "save-picture": async () => save("reward.png", await pngOf(this.#picture.levels)),
    };
    actions[action]();
  }

  /** Go where the estimate points, and draw afresh. */
  #takeStep() {
    const { after, nextAverage } = this.#experiment;
    const { tab, seed, baseline } = this.#state;
    const average = baseline === "moving-average" ? nextAverage : [0, 0];
    const place = tab === "gaussian" ? after : { logits: after.logits };
    const isFar = tab === "moves" && after.logits.some((logit) => Math.abs(logit) > 20);
    const problem = tab === "gaussian" ? problemOf(after) : isFar && "a logit is beyond 20";
    if (problem) {
      this.#stop();
      this.#complain([`This step is not taken, since after it ${problem}: lower the learning rate, or choose a baseline`]);
      return;
    }
    this.#change({ ...place, average, seed: nextSeed(seed), draws: null });
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
    button.classList.toggle("running", Boolean(this.#running));
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
      button.textContent = "This browser does not allow it";
    }
    setTimeout(() => (button.textContent = "Copy link"), 2000);
  }

  // ---------------------------------------------------------------- files

  #saveNumbers() {
    const text = JSON.stringify(numbersOf(this.#experiment, this.#state));
    save("estimate.json", new Blob([text], { type: "application/json" }));
  }

  /** The fields that follow from a file that was chosen. */
  async #load(input, fieldsIn) {
    const [file] = input.files;
    this.#stop();
    input.value = ""; // so that the same file can be chosen again
    if (!file) return;
    try {
      this.#change(await fieldsIn(file));
    } catch (error) {
      this.#complain([error.message]);
    }
  }
}

function nextSeed(seed) {
  return (seed + 1) % 2 ** 31;
}

// The text is painted first, and the pictures as soon as they are computed.
requestAnimationFrame(() => setTimeout(() => new Page()));
