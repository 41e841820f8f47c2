// Numbers and sentences as people read them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { lengthOf } from "../../../../applications/gaussian/web/arrows.js";
import { markText, roundRange } from "../../../../applications/gaussian/web/curve.js";
import { numbersOf } from "../../../../applications/gaussian/web/export.js";
import { errorOf } from "../../../../applications/gaussian/web/figures.js";
import { GAUSSIAN } from "../../../../applications/gaussian/web/gaussian.js";
import { degreesBetween, guessSentence } from "../../../../applications/gaussian/web/hover.js";
import { labelsOf } from "../../../../applications/gaussian/web/labels.js";
import { fewOf, lessonSentence } from "../../../../applications/gaussian/web/lesson.js";
import { MOVES_POLICY } from "../../../../applications/gaussian/web/moves.js";
import {
  amount,
  signed,
  size,
  twoDigits,
  vector,
} from "../../../../applications/gaussian/web/numbers.js";
import { columnSteps } from "../../../../applications/gaussian/web/quadrature.js";
import { levelsOf } from "../../../../applications/gaussian/web/reward.js";
import {
  chanceSentence,
  statusSentence,
  worthSentence,
} from "../../../../applications/gaussian/web/sentences.js";
import { parseState } from "../../../../applications/gaussian/web/state.js";

const levels = levelsOf("regions");
const PICTURE = { levels, columns: columnSteps(levels) };

const shown = (text) => {
  const { state } = parseState(text);
  const experiment = GAUSSIAN.experiment(state, PICTURE);
  return { state, experiment, worth: worthSentence(experiment, state) };
};

test("a few samples have good ones among them, and their colours are those seen", () => {
  const { experiment, state } = shown("lesson=3");
  const few = fewOf(experiment);
  assert.equal(few.length, 10);
  assert.equal(few[0], 0); // the sample of the pictures before it
  const good = few.filter((k) => experiment.weights[k] > 0).length;
  assert.ok(good >= 2 && good <= 5);
  assert.match(lessonSentence(experiment, state), /^10 of the 80 samples, picked.*Green.*orange/);
  const bad = shown("lesson=3&mean=-2.5,2.5&factor=0.1,0,0.1");
  assert.match(lessonSentence(bad.experiment, bad.state), /^10 samples, none of them good/);
});

test("the lesson says what the weight does, not what the reward would", () => {
  const { experiment, state } = shown("lesson=2&baseline=constant&constant=-3");
  assert.equal(experiment.weights[0], 2);
  assert.match(
    lessonSentence(experiment, state),
    /weight.*above zero, so the arrow counts as it is/,
  );
  const plain = shown("lesson=2");
  assert.match(lessonSentence(plain.experiment, plain.state), /reward is below zero/);
});

test("the lesson says how far off estimates are, this one and a guess", () => {
  const { experiment, state } = shown("lesson=5");
  const text = lessonSentence(experiment, state, [-1, 0]);
  const [own, guess, half] = text.match(/\d+(?=°)/g).map(Number);
  assert.equal(own, Math.round(degreesBetween(experiment.estimate, experiment.exact)));
  assert.equal(guess, 52); // atan2(0.1474, 0.1146)
  assert.ok(half > 15 && half < 35);
  const turns = Array.from({ length: 200 }, (_, k) =>
    degreesBetween(experiment.chosen.estimates.slice(2 * k, 2 * k + 2), experiment.exact),
  );
  assert.ok(turns.filter((turn) => turn > half + 0.5).length <= 100);
  assert.ok(turns.filter((turn) => turn < half - 0.5).length <= 100);
});

test("an average is drawn no longer than the plot has room for", () => {
  const tipOf = (text) => {
    const { experiment } = shown(text);
    const length = lengthOf(experiment);
    return {
      length,
      tip: [0, 1].map((d) => experiment.before.mean[d] + length * experiment.estimate[d]),
    };
  };
  assert.equal(tipOf("samples=80").length, 6);
  for (const text of ["samples=5&seed=3", "samples=2&seed=1", "scale=1000"]) {
    const { length, tip } = tipOf(text);
    assert.ok(length < 6, text);
    assert.ok(Math.max(...tip.map(Math.abs)) < 3.4, text);
  }
  assert.equal(tipOf("mean=9,9").length, 6);
});

test("a curve has a round range with no room left over", () => {
  assert.deepEqual(roundRange([-0.8235, -0.6]), [-0.9, -0.6]);
  assert.deepEqual(roundRange([-0.8235, 0.35]), [-1, 0.5]);
  assert.deepEqual(roundRange([-1, 1]), [-1, 1]);
  for (const numbers of [[0.5], [0, 0], [1e-9, 3e-9], [-7e12, 2e12]]) {
    const [low, high] = roundRange(numbers);
    assert.ok(low <= Math.min(...numbers) && high >= Math.max(...numbers) && low < high);
  }
});

test("the step of the covariance has its symbols explained", () => {
  const { experiment, state } = shown("covariance=1");
  const caption = GAUSSIAN.caption(experiment, state, "step");
  assert.match(caption, /\(z zᵀ − I\), x = mean \+ L z/);
});

test("what cannot be compared has no worth", () => {
  const worthOf = (text) => {
    const { experiment, state } = shown(text);
    const { worth, worth_low, worth_high } = numbersOf(experiment, state, GAUSSIAN).cloud;
    return [worth, worth_low, worth_high];
  };
  assert.ok(worthOf("samples=20&baseline=leave-one-out").every(Number.isFinite));
  for (const text of ["samples=20&baseline=standardized", "samples=20&gradient=density"]) {
    assert.deepEqual(worthOf(text), [null, null, null]);
  }
});

test("the lesson is about the Gaussian, whatever its link says", () => {
  const { state, errors } = parseState("lesson=3&tab=moves");
  assert.deepEqual([state.tab, state.lesson, errors.length], ["gaussian", 3, 0]);
});

test("small gradients do not read as zero", () => {
  assert.equal(vector([0.1234, -0.5], 3), "(+0.123, −0.500)");
  assert.equal(vector([0.00123, -0.0004], 3), "(+0.0012, −0.0004)");
  assert.equal(vector([2.5e-7, 0], 3), "(+2.5e−7, 0)");
  assert.equal(vector([0, 0], 3), "(0.000, 0.000)");
  assert.equal(vector([1e-17, 0], 3), "(0.000, 0.000)");
  assert.equal(signed(Number.NaN, 2), "—");
});

test("what is in the unit of the reward has the digits of its unit", () => {
  assert.equal(amount(0.000123, 0.001), "+0.00012");
  assert.equal(amount(-0.5, 1), "−0.50");
  assert.equal(amount(823545, 1e6), "+823545");
  assert.equal(amount(8.2e14, 1e15), "+8.20e14");
  assert.equal(amount(8.2e-13, 1e-12), "+8.20e−13");
  assert.equal(vector([8.2e14, -1e13], 0), "(+8.20e14, −1.00e13)");
  assert.equal(size(1e15), "1e15");
  assert.equal(size(-0.00025), "−0.00025");
  const marks = (low, high) =>
    [low, (low + high) / 2, high].map((r) => markText(r, (high - low) / 2));
  assert.deepEqual(marks(-1, 1), ["−1", "0", "1"]);
  assert.deepEqual(marks(-0.75, 1.25), ["−0.75", "0.25", "1.25"]);
  assert.deepEqual(marks(-0.001, 0.001), ["−0.001", "0", "0.001"]);
  assert.deepEqual(marks(999_999, 1_000_001), ["999999", "1000000", "1000001"]);
  assert.deepEqual(marks(-1e15, 1e15), ["−1e15", "0", "1e15"]);
});

test("nothing reads as 0.00 because rewards are small, nor runs on because they are large", () => {
  for (const scale of [1e-15, 1e-3, 1e4, 1e15]) {
    const { state, experiment, worth } = shown(
      `scale=${scale}&samples=5&baseline=moving-average&average=${-0.4 * scale},0.5`,
    );
    const texts = [
      worth,
      GAUSSIAN.sampleSentence(experiment, 0, state),
      statusSentence(experiment, state, 0),
    ];
    for (const text of texts) {
      assert.doesNotMatch(text, /(?<![\d.])0\.0+(?!\d)/, `${scale}: ${text}`);
      assert.doesNotMatch(text, /\d{9}|\.\d{12}/, `${scale}: ${text}`);
    }
  }
  const moves = parseState("tab=moves&scale=0.001&samples=5").state;
  const experiment = MOVES_POLICY.experiment(moves);
  assert.match(MOVES_POLICY.sampleSentence(experiment, 0, moves), /reward [+−]0\.00[01]/);
});

test("a worth has two digits", () => {
  assert.equal(twoDigits(155.7), "160");
  assert.equal(twoDigits(2151), "2,200");
  assert.equal(twoDigits(1.234), "1.2");
});

test("an average that lags is worth what it is worth", () => {
  const empty = shown("samples=80&baseline=moving-average");
  assert.match(empty.worth, /is empty before the first step.*Once settled.*as precise as about/);
  assert.equal(empty.experiment.worth.value, 80);
  const own = shown("samples=80&baseline=moving-average&average=-0.4,0.5");
  assert.match(own.worth, /with this moving average \(−0.80\) are as precise as about/);
});

test("no noise is claimed only where there is nothing to meet", () => {
  const rare = shown("mean=-1.1,-0.85&factor=0.18,0,0.18&samples=2&baseline=leave-one-out&seed=1");
  assert.match(rare.worth, /so rare that none of the 400 draws met it/);
  const flat = shown("mean=-0.9,-0.9&factor=0.08,0,0.08&samples=40&baseline=leave-one-out");
  assert.match(flat.worth, /there is no noise/);
});

test("where no two estimates differ an error has no standard error", () => {
  const errorIn = (text) => {
    const { experiment, state } = shown(text);
    return errorOf(experiment.chosen, state.baseline);
  };
  const flat = "mean=-0.9,-0.9&factor=0.08,0,0.08&samples=40";
  assert.equal(errorIn(`${flat}&baseline=leave-one-out`), "no two estimates differ");
  assert.match(errorIn(flat), /^\d\.\d std\. errors$/);
  assert.equal(errorIn("samples=40&baseline=standardized"), "other units");
});

test("an error that chance explains is said to be chance", () => {
  const { experiment, state } = shown("samples=16&seed=3&baseline=leave-one-out");
  assert.ok(experiment.chosen.standardErrorsOff > 2);
  assert.match(
    chanceSentence(experiment, state),
    /Unbiased by construction: this miss is chance, and [5-9] in 100/,
  );
  const biased = shown("samples=100&gradient=density");
  assert.equal(chanceSentence(biased.experiment, biased.state), "");
});

test("where there is no gradient there is no direction to guess", () => {
  const guess = { vector: [1, 1], isDone: true };
  const verdict = (text) => guessSentence(guess, shown(text).experiment);
  assert.match(verdict("samples=20"), /\d+° from the exact gradient .* [\d.]+ times as long/);
  const far = verdict("mean=15,15&samples=20&baseline=leave-one-out");
  assert.match(far, /^The exact gradient is too short here to be seen.*samples is zero\.$/);
  assert.doesNotMatch(far, /°|∞|NaN/);
});

test("draws that this Gaussian did not make are called strangers", () => {
  const caption = (text) => {
    const { experiment, state } = shown(text);
    return GAUSSIAN.caption(experiment, state, "scores");
  };
  assert.match(caption("draws=100,100"), /standard deviations away/);
  assert.doesNotMatch(caption("draws=2,1,-1,0.5"), /standard deviations away/);
});

test("regions are named in their middle", () => {
  const labels = labelsOf(levels);
  assert.deepEqual(
    labels.map(({ level }) => level),
    [255, 255, 255, 0],
  );
  for (const { x, y, level } of labels) {
    const column = Math.floor(((x + 3.4) / 6.8) * 200);
    const row = Math.floor(((3.4 - y) / 6.8) * 200);
    assert.equal(levels[row * 200 + column], level);
  }
  assert.deepEqual(labelsOf(new Uint8Array(40_000)), []);
});
