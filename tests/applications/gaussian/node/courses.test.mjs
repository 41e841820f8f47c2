// Courses: what is one curve, and where it breaks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { endsAt, recordStep } from "../../../../applications/gaussian/web/courses.js";
import { textOfCourse } from "../../../../applications/gaussian/web/curve.js";
import { DEFAULTS } from "../../../../applications/gaussian/web/state.js";
import { Store } from "../../../../applications/gaussian/web/store.js";

/** Steps to the right, each with its settings. */
const walked = (settings) => {
  const { courses } = new Store({ ...DEFAULTS });
  let state = { ...DEFAULTS };
  for (const fields of settings) {
    state = { ...state, ...fields };
    const last = courses.list.at(-1);
    const course = last && endsAt(last, state) ? last : courses.begin(state, state.mean[0]);
    const before = { state, expectedReward: state.mean[0] + state.shift };
    const mean = [state.mean[0] + 0.1, 0];
    state = { ...state, mean, seed: state.seed + 1, average: [state.seed, 1] };
    recordStep(course, before, { state, expectedReward: state.mean[0] + state.shift });
  }
  return courses.list;
};

test("a setting that changes breaks a course, and ends none", () => {
  const samples = Array.from({ length: 30 }, (_, k) => ({ samples: 10 + k }));
  const [course, ...others] = walked([{}, {}, ...samples, {}, {}]);
  assert.equal(others.length, 0);
  assert.equal(course.rewards.length, 35);
  assert.equal(course.breaks.length, 30);
  assert.match(
    textOfCourse(course),
    /after 34 steps, 973 draws, settings changed after steps 2 to 31/,
  );

  const [jump] = walked([{}, { shift: 1 }, { rate: 1, covariance: true }]);
  assert.deepEqual(
    jump.breaks.map(({ step }) => step),
    [1, 2],
  );
  assert.ok(Math.abs(jump.breaks[0].reward - jump.rewards[1] - 1) < 1e-9);
  const [plain] = walked([{}, { panel: "runs" }, { stage: "step" }]);
  assert.match(textOfCourse(plain), /after 3 × 80 draws$/);
});

test("another baseline, or another place, has a course of its own", () => {
  assert.equal(walked([{}, { baseline: "leave-one-out" }, {}]).length, 2);
  assert.equal(walked([{}, { mean: [1, 1] }, {}]).length, 2);
});

test("of many courses the latest are kept, in colours that differ", () => {
  const list = walked(Array.from({ length: 20 }, (_, k) => ({ mean: [k, 1] })));
  assert.equal(list.length, 6);
  assert.equal(new Set(list.map(({ colour }) => colour)).size, 6);
});
