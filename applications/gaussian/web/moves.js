// The table of the five moves: a policy's probabilities, and the score of every move on the logits.

import { MOVES, scoreOf } from "./policy.js";
import { signed } from "./figures.js";

const SVG = "http://www.w3.org/2000/svg";
/** Height of an arrow's cell, pixels. */
const HEIGHT = 42;

/** The table; its sliders are named, and read and written like every other control. */
export class MovesTable {
  #head;
  #body;

  constructor(table) {
    this.#head = table.tHead;
    this.#body = table.tBodies[0];
    this.#build();
  }

  #build() {
    const names = this.#head.insertRow();
    names.append(header("col", "move"));
    MOVES.forEach((name) => names.append(header("col", name)));

    this.probabilities = this.#row("probability", "bars", (cell) => {
      cell.innerHTML = '<span class="bar"><i class="after"></i><i class="now"></i></span><output></output>';
    });
    this.#row("logit", "sliders", (cell, k) => cell.append(slider("logits", k, -4, 4, `Logit of ${MOVES[k]}`)));
    this.#row("reward", "sliders", (cell, k) => cell.append(slider("payoffs", k, -1, 1, `Reward of ${MOVES[k]}`)));
    this.scores = MOVES.map((name) => this.#row(name, "arrows", (cell) => cell.append(arrow())));
    this.average = this.#row("average", "arrows average", (cell) => cell.append(arrow(), arrow()));
  }

  #row(name, kind, fill) {
    const row = this.#body.insertRow();
    row.className = kind;
    row.append(header("row", name));
    MOVES.forEach((_, k) => fill(row.insertCell(), k));
    return row;
  }

  /**
   * Show an experiment.
   *
   * @param {object} experiment of `movesExperiment`.
   * @param {string} stage one of the four.
   * @param {(part: string) => number} opacity how much of each part is seen, 0 to 1.
   */
  draw(experiment, stage, opacity) {
    this.#drawProbabilities(experiment, stage, opacity);
    this.#drawScores(experiment, stage, opacity);
    this.#drawAverage(experiment, stage, opacity);
  }

  #drawProbabilities({ before, after }, stage, opacity) {
    MOVES.forEach((_, k) => {
      const cell = this.probabilities.cells[k + 1];
      const bars = cell.querySelectorAll("i");
      bars[0].hidden = stage !== "step";
      bars[0].style.height = `${100 * after.probabilities[k]}%`;
      bars[1].style.height = `${100 * before.probabilities[k]}%`;
      const shown = stage === "step" ? after : before;
      cell.querySelector("output").value = shown.probabilities[k].toFixed(2);
    });
    this.probabilities.style.opacity = opacity(stage === "step" ? "step" : "density");
  }

  #drawScores({ before, moves, factors, payoffs }, stage, opacity) {
    const values = stage === "scores" ? factors.score : factors.weighted;
    const rows = MOVES.map((_, move) => {
      const count = moves.filter((drawn) => drawn === move).length;
      const factor = count ? values[moves.indexOf(move)] : 0;
      const entries = scoreOf(before.probabilities, move).map((entry) => factor * entry);
      const kind = stage === "scores" ? "score" : factor > 0 ? "good" : "bad";
      return { count, entries, kind };
    });

    // All rows to one scale: the longest arrow fills its cell.
    const longest = Math.max(...rows.flatMap(({ entries }) => entries.map(Math.abs)), 1e-12);
    rows.forEach(({ count, entries, kind }, move) => {
      const row = this.scores[move];
      const reward = signed(payoffs[move], 1);
      row.cells[0].innerHTML = `<b>${count} ×</b> ${MOVES[move]}<br><small>reward ${reward}</small>`;
      row.style.opacity = (count ? 1 : 0.3) * opacity(stage === "scores" ? "scores" : "weighted");
      entries.forEach((entry, k) => point(row.cells[k + 1].firstChild, entry / longest, kind));
    });
  }

  #drawAverage({ estimate, exact, weights }, stage, opacity) {
    const isSeen = stage === "average" || stage === "step";
    this.average.style.visibility = isSeen ? "visible" : "hidden";
    this.average.style.opacity = opacity("average");
    this.average.cells[0].innerHTML = `<b>average</b> of ${weights.length}<br><small>dashed: exact</small>`;
    const longest = Math.max(...[...estimate, ...exact].map(Math.abs), 1e-12);
    MOVES.forEach((_, k) => {
      const [own, truth] = this.average.cells[k + 1].children;
      point(truth, exact[k] / longest, "truth");
      point(own, estimate[k] / longest, "own");
    });
  }
}

function header(scope, text) {
  const cell = document.createElement("th");
  cell.scope = scope;
  cell.textContent = text;
  return cell;
}

function slider(name, index, least, most, label) {
  const input = document.createElement("input");
  Object.assign(input, { type: "range", name, min: least, max: most, step: 0.05 });
  input.dataset.index = index;
  input.setAttribute("aria-label", label);
  return input;
}

function arrow() {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `-9 ${-HEIGHT / 2} 18 ${HEIGHT}`);
  picture.setAttribute("height", HEIGHT);
  picture.setAttribute("aria-hidden", "true");
  picture.append(document.createElementNS(SVG, "path"));
  return picture;
}

/** Draw an upright arrow; `length` is from −1 to 1. */
function point(picture, length, kind) {
  const tip = -length * (HEIGHT / 2 - 1);
  const head = Math.sign(tip) * Math.min(6, Math.abs(tip));
  const path = picture.firstChild;
  path.setAttribute("class", kind);
  path.setAttribute("d", `M0,0 V${tip} M-4,${tip - head} L0,${tip} L4,${tip - head} M-6,0 H6`);
}
