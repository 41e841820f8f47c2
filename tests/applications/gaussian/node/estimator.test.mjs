// The estimator: every baseline from one pass over the draws, and what it is worth.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  average,
  BASELINES,
  estimatesOf,
  repeatsOf,
  scatterOf,
  weightsOf,
  worthOf,
} from "../../../../applications/gaussian/web/estimator.js";
import { normals } from "../../../../applications/gaussian/web/random.js";

const REPEATS = 40;
const COUNT = 6;
const SCORES = normals(1, 1, REPEATS * COUNT * 2);
const REWARDS = normals(2, 1, REPEATS * COUNT).map((value) => 3 + value);
const SETTINGS = { constant: -0.4, average: [0.6, 0.3], best: 1.2 };

for (const baseline of [...BASELINES, "best"]) {
  test(`repeated estimates are those of each repetition alone: ${baseline}`, () => {
    const comparison = { baseline, ...SETTINGS };
    const estimates = estimatesOf(repeatsOf(SCORES, REWARDS, REPEATS, 2), comparison);
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      const scores = SCORES.subarray(2 * repeat * COUNT, 2 * (repeat + 1) * COUNT);
      const rewards = REWARDS.slice(repeat * COUNT, (repeat + 1) * COUNT);
      const own = average(scores, weightsOf(rewards, comparison), 2);
      for (const d of [0, 1]) assert.ok(Math.abs(own[d] - estimates[2 * repeat + d]) < 1e-12);
    }
  });
}

test("equal rewards leave leave-one-out nothing at all", () => {
  const equal = new Float64Array(REPEATS * COUNT).fill(0.1 + 0.2);
  const repeats = repeatsOf(SCORES, equal, REPEATS, 2);
  const own = scatterOf(
    estimatesOf(repeats, { baseline: "leave-one-out", ...SETTINGS }),
    [0, 0],
    repeats.negligible,
  );
  assert.equal(own.variance, 0);
  assert.equal(own.varies, false);
});

test("a worth has a range, and the same estimates have none", () => {
  const repeats = repeatsOf(SCORES, REWARDS, REPEATS, 2);
  const scatter = (baseline) =>
    scatterOf(estimatesOf(repeats, { baseline, ...SETTINGS }), [0, 0], repeats.negligible);
  const [none, own] = [scatter("none"), scatter("leave-one-out")];
  const worth = worthOf(COUNT, none, own);
  assert.ok(worth.low < worth.value && worth.value < worth.high);
  assert.ok(Math.abs(worth.value - (COUNT * none.variance) / own.variance) < 1e-12);
  assert.deepEqual(worthOf(COUNT, none, none), { value: COUNT, low: COUNT, high: COUNT });
});

test("the range of a worth covers the truth in about 19 of 20 cases", () => {
  // Estimates of standard deviation 1 and 1/2, correlated: the truth is 4 times the count.
  let misses = 0;
  for (let seed = 0; seed < 400; seed++) {
    const [one, two] = [normals(seed, 3, 400), normals(seed, 4, 400)];
    const none = scatterOf(one, [0, 0], 0);
    const own = scatterOf(
      one.map((value, k) => 0.4 * value + 0.3 * two[k]),
      [0, 0],
      0,
    );
    const { low, high } = worthOf(1, none, own);
    misses += low < 4 && 4 < high ? 0 : 1;
  }
  assert.ok(misses > 5 && misses < 50, `${misses} of 400`);
});
