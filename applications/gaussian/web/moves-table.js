// The table of the five moves: a policy's probabilities, and the score of every move on the logits.

import { write } from "./elements.js";
import { amount, unitOf } from "./numbers.js";
import { MOVES, scoreOf } from "./policy.js";

/** @import { MovesExperiment } from "./experiment.js" */
/** @import { Marks } from "./plane.js" */
/** @import { State } from "./state.js" */

const SVG = "http://www.w3.org/2000/svg";
/** Height of an arrow's cell, pixels. */
const HEIGHT = 42;

/** The table; its sliders are named, and read and written like every other control. */
export class MovesTable {
  #head;
  #body;
  #probabilities;
  #scores;
  #average;

  /** @param {HTMLTableElement} table */
  constructor(table) {
    this.#head = table.createTHead();
    this.#body = table.tBodies[0];
    const names = this.#head.insertRow();
    names.append(header("col", "move"));
    for (const name of MOVES) names.append(header("col", name));

    this.#probabilities = this.#row("probability", "bars", (cell) => {
      cell.innerHTML =
        '<span class="bar"><i class="after"></i><i class="now"></i></span><span></span>';
    });
    this.#row("logit", "sliders", (cell, k) =>
      cell.append(slider("logits", k, 4, `Logit of ${MOVES[k]}`)),
    );
    this.#row("reward", "sliders", (cell, k) =>
      cell.append(slider("payoffs", k, 1, `Reward of ${MOVES[k]}`)),
    );
    this.#scores = MOVES.map((name) =>
      this.#row(name, "arrows", (cell) => cell.append(arrow(), spoken())),
    );
    this.#average = this.#row("average", "arrows average", (cell) =>
      cell.append(arrow(), arrow(), spoken()),
    );
  }

  /** Nothing in the table glides by itself. */
  moves = false;

  /** A table is drawn in one go. */
  show() {}

  /**
   * @param {string} name
   * @param {string} kind
   * @param {(cell: HTMLTableCellElement, k: number) => void} fill
   */
  #row(name, kind, fill) {
    const row = this.#body.insertRow();
    row.className = kind;
    row.append(header("row", name));
    MOVES.forEach((_, k) => {
      fill(row.insertCell(), k);
    });
    return row;
  }

  /**
   * Show an experiment.
   *
   * @param {MovesExperiment} experiment
   * @param {State} state
   * @param {Marks} marks
   */
  draw(experiment, state, marks) {
    this.#drawProbabilities(experiment, marks);
    this.#drawScores(experiment, state, marks);
    this.#drawAverage(experiment, state, marks);
  }

  /**
   * @param {MovesExperiment} experiment
   * @param {Marks} marks
   */
  #drawProbabilities({ before, after }, { stage, opacity }) {
    const isStep = stage === "step";
    const shown = isStep ? after : before;
    MOVES.forEach((_, k) => {
      const [bars, figure] = this.#probabilities.cells[k + 1].children;
      const [next, now] = /** @type {HTMLElement[]} */ ([...bars.children]);
      next.hidden = !isStep;
      next.style.height = `${100 * after.probabilities[k]}%`;
      now.style.height = `${100 * before.probabilities[k]}%`;
      write(figure, shown.probabilities[k].toFixed(2));
    });
    this.#probabilities.style.opacity = String(opacity(isStep ? "step" : "density"));
  }

  /**
   * @param {MovesExperiment} experiment
   * @param {State} state
   * @param {Marks} marks
   */
  #drawScores({ before, moves, factors, payoffs }, state, { stage, opacity, seen, sample }) {
    const isAlone = stage === "scores";
    const values = isAlone ? factors.score : factors.weighted;
    const drawnMoves = seen.map((k) => moves[k]);
    const rows = MOVES.map((_, move) => {
      const count = drawnMoves.filter((drawn) => drawn === move).length;
      const factor = count ? values[moves.indexOf(move)] : 0;
      const entries = scoreOf(before.probabilities, move).map((entry) => factor * entry);
      const kind = isAlone ? "score" : factor > 0 ? "good" : "bad";
      return { count, entries, kind };
    });

    // All rows to one scale: the longest arrow fills its cell.
    const unit = isAlone ? 1 : unitOf(state);
    const longest = Math.max(...rows.flatMap(({ entries }) => entries.map(Math.abs)), 1e-12);
    rows.forEach(({ count, entries, kind }, move) => {
      const row = this.#scores[move];
      const reward = amount(payoffs[move], state.scale, 1);
      row.cells[0].innerHTML = `<b>${count} ×</b> ${MOVES[move]}<br><small>reward ${reward}</small>`;
      row.style.opacity = String((count ? 1 : 0.3) * opacity(isAlone ? "scores" : "weighted"));
      row.classList.toggle("marked", sample >= 0 && moves[sample] === move);
      entries.forEach((entry, k) => {
        const [picture, words] = row.cells[k + 1].children;
        point(picture, entry / longest, kind);
        write(words, count ? amount(entry, unit) : "not drawn");
      });
    });
  }

  /**
   * @param {MovesExperiment} experiment
   * @param {State} state
   * @param {Marks} marks
   */
  #drawAverage({ estimate, exact, weights }, state, { stage, opacity }) {
    const isSeen = stage === "average" || stage === "step";
    const row = this.#average;
    row.style.visibility = isSeen ? "visible" : "hidden";
    row.style.opacity = String(opacity("average"));
    row.cells[0].innerHTML = `<b>average</b> of ${weights.length}<br><small>dashed: exact</small>`;
    const entries = [...Array.from(estimate), ...Array.from(exact)];
    const longest = Math.max(...entries.map(Math.abs), 1e-12);
    MOVES.forEach((_, k) => {
      const [own, truth, words] = row.cells[k + 1].children;
      point(truth, exact[k] / longest, "truth");
      point(own, estimate[k] / longest, "own");
      write(
        words,
        `${amount(estimate[k], unitOf(state), 3)}, exact ${amount(exact[k], state.scale, 3)}`,
      );
    });
  }
}

/**
 * @param {string} scope
 * @param {string} text
 */
function header(scope, text) {
  const cell = document.createElement("th");
  cell.scope = scope;
  cell.textContent = text;
  return cell;
}

/**
 * @param {string} name
 * @param {number} index
 * @param {number} most
 * @param {string} label
 */
function slider(name, index, most, label) {
  const input = document.createElement("input");
  Object.assign(input, { type: "range", name, min: -most, max: most, step: 0.05 });
  input.dataset.index = String(index);
  input.setAttribute("aria-label", label);
  return input;
}

/** Words that only a screen reader has. */
function spoken() {
  const words = document.createElement("span");
  words.className = "unseen";
  return words;
}

function arrow() {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `-9 ${-HEIGHT / 2} 18 ${HEIGHT}`);
  picture.setAttribute("height", String(HEIGHT));
  picture.setAttribute("aria-hidden", "true");
  picture.append(document.createElementNS(SVG, "path"));
  return picture;
}

/**
 * Draw an upright arrow.
 *
 * @param {Element} picture
 * @param {number} length from −1 to 1.
 * @param {string} kind
 */
function point(picture, length, kind) {
  const tip = -length * (HEIGHT / 2 - 1);
  const head = Math.sign(tip) * Math.min(6, Math.abs(tip));
  const [path] = picture.children;
  path.setAttribute("class", kind);
  path.setAttribute("d", `M0,0 V${tip} M-4,${tip - head} L0,${tip} L4,${tip - head} M-6,0 H6`);
}
