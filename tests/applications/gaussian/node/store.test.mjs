// The store: what is one entry of the past, and where undo, redo and reset lead.

import assert from "node:assert/strict";
import { test } from "node:test";
import { distributionOf } from "../../../../applications/gaussian/web/distributions.js";
import { columnSteps } from "../../../../applications/gaussian/web/quadrature.js";
import { levelsOf, pictureText } from "../../../../applications/gaussian/web/reward.js";
import { afterStep } from "../../../../applications/gaussian/web/runner.js";
import { DEFAULTS, formatState, parseState } from "../../../../applications/gaussian/web/state.js";
import { Store } from "../../../../applications/gaussian/web/store.js";

const fresh = () => new Store({ ...DEFAULTS });

test("each change is an entry, and a gesture is one", () => {
  const store = fresh();
  store.change({ samples: 10 });
  for (const x of [0.1, 0.2, 0.3]) store.change({ mean: [x, 0] }, "hand");
  store.seal("hand");
  store.change({ mean: [1, 1] }, "hand");
  assert.deepEqual(store.state.mean, [1, 1]);
  store.undo();
  assert.deepEqual(store.state.mean, [0.3, 0]);
  store.undo();
  assert.deepEqual(store.state.mean, DEFAULTS.mean);
  assert.equal(store.state.samples, 10);
  store.undo();
  assert.equal(store.state.samples, 80);
  assert.equal(store.canUndo, false);
  for (let k = 0; k < 3; k++) store.redo();
  assert.deepEqual(store.state.mean, [1, 1]);
  assert.equal(store.canRedo, false);
});

test("a new change forgets what was undone", () => {
  const store = fresh();
  store.change({ samples: 10 });
  store.undo();
  store.change({ samples: 20 });
  assert.equal(store.canRedo, false);
});

test("a cancelled gesture never was", () => {
  const store = fresh();
  store.change({ samples: 10 });
  store.change({ mean: [1, 1] }, "hand");
  store.change({ mean: [2, 2] }, "hand");
  store.cancel("hand");
  assert.deepEqual(store.state.mean, DEFAULTS.mean);
  assert.equal(store.canRedo, false);
  store.undo();
  assert.equal(store.state.samples, 80);
  store.change({ mean: [2, 2] }, "hand");
  store.cancel("hand");
  assert.equal(store.canUndo, false);
  store.redo(); // what was undone before the gesture can be redone after it
  assert.equal(store.state.samples, 10);
});

test("a gesture cancels nothing but itself", () => {
  const store = fresh();
  store.change({ seed: 1 }, "run");
  store.change({ seed: 2 }, "run");
  store.seal("run");
  store.cancel("hand");
  store.cancel("run");
  assert.equal(store.state.seed, 2);
  store.undo();
  assert.equal(store.state.seed, 0);
  assert.equal(store.canRedo, true);
});

test("gestures that go on at once are an entry each", () => {
  const store = fresh();
  for (let k = 1; k < 30; k++) {
    store.change({ seed: k }, "run");
    if (k > 9 && k < 20) store.change({ samples: k }, "slider");
    if (k > 19) store.change({ reward: "hills", mean: [k / 10, 0] }, "hand");
  }
  store.cancel("hand");
  const { seed, samples, reward, mean } = store.state;
  assert.deepEqual([seed, samples, reward, mean], [29, 19, "regions", DEFAULTS.mean]);
  store.undo();
  assert.deepEqual([store.state.seed, store.state.samples], [10, 80]);
  store.undo();
  assert.equal(formatState(store.state), "");
  assert.equal(store.canUndo, false);
});

test("a gesture that ends where it began leaves no entry", () => {
  const store = fresh();
  store.change({ samples: 10 });
  store.undo();
  for (const x of [1, 0.35]) store.change({ mean: [x, 0.3] }, "hand");
  store.seal("hand");
  assert.equal(store.canUndo, false);
  assert.equal(store.canRedo, true);
});

test("to look elsewhere is no entry", () => {
  const store = fresh();
  store.change({ panel: "clouds" });
  store.change({ lesson: 3 });
  assert.equal(store.canUndo, false);
  store.change({ samples: 10 });
  store.change({ view: "lecture" });
  store.undo();
  assert.equal(store.state.samples, 80);
  assert.equal(store.state.view, "lecture");
});

test("what was looked away from does not come back, and what a link brought goes with it", () => {
  const store = new Store({ ...DEFAULTS, lesson: 1 });
  store.change({ seed: 1 });
  store.change({ lesson: 0 });
  store.change({ seed: 2 });
  store.change({ seed: 5, question: "baseline", panel: "clouds" });
  store.undo();
  assert.deepEqual([store.state.question, store.state.panel], ["", "cloud"]);
  for (let k = 0; k < 2; k++) store.undo();
  assert.equal(store.state.lesson, 0);
  assert.equal(store.canUndo, false);
  for (let k = 0; k < 3; k++) store.redo();
  assert.deepEqual([store.state.seed, store.state.question], [5, "baseline"]);
});

test("one's own reward stays, and reset leads to what the page was made with", () => {
  const own = pictureText(levelsOf("ring"));
  const store = new Store({ ...DEFAULTS, reward: own, samples: 30 });
  store.change({ reward: "hills", samples: 5 });
  assert.equal(store.own, own);
  store.reset();
  assert.equal(store.state.reward, own);
  assert.equal(store.state.samples, 30);
  store.undo();
  assert.equal(store.state.reward, "hills");
});

test("draws of one's own come back with their tab", () => {
  const store = fresh();
  store.change({ draws: [1, 2, 3, 4] });
  store.openTab("moves");
  assert.equal(store.state.draws, null);
  store.openTab("gaussian");
  assert.deepEqual(store.state.draws, [1, 2, 3, 4]);
});

test("draws of the other tab are kept until a reset or other samples, and undo brings them back", () => {
  const leaves = [
    (store) => store.reset(),
    (store) => store.change({ samples: 300, draws: null }),
    (store) => store.change({ samples: 90, draws: null }, "samples"),
  ];
  for (const leave of leaves) {
    const store = fresh();
    store.change({ draws: [1, 2, 3, 4] });
    store.openTab("moves");
    store.change({ seed: 7, draws: null });
    leave(store);
    store.openTab("gaussian");
    assert.equal(store.state.draws, null);
    store.undo();
    store.undo();
    store.openTab("gaussian");
    assert.deepEqual(store.state.draws, [1, 2, 3, 4]);
  }
  const store = fresh();
  store.change({ draws: [1, 2, 3, 4] });
  store.openTab("moves");
  store.change({ draws: [0, 1, 4] });
  store.openTab("gaussian");
  assert.deepEqual(store.state.draws, [1, 2, 3, 4]);
  store.openTab("moves");
  assert.deepEqual(store.state.draws, [0, 1, 4]);
});

test("a state and its link are the same", () => {
  const text = "tab=moves&panel=runs&view=lecture&samples=7&baseline=constant&constant=0.25";
  assert.equal(formatState(parseState(text).state), text);
  assert.deepEqual(parseState("standardized=1").errors, [
    "this page has no setting “standardized”",
  ]);
});

test("courses that were done away with come back with undo", () => {
  const store = fresh();
  store.courses.begin(store.state, -1);
  const own = store.courses.list;
  store.clearCourses("link");
  store.change({ seed: 1, question: "baseline" }, "link");
  store.seal("link");
  assert.deepEqual(store.courses.list, []);
  store.undo();
  assert.equal(store.courses.list, own);
  assert.equal(store.canUndo, false);
  store.redo();
  assert.deepEqual(store.courses.list, []);
  store.undo();
  store.clearCourses(); // a race, say
  store.courses.begin(store.state, -1);
  store.undo();
  assert.equal(store.courses.list, own);
  store.redo();
  assert.equal(store.courses.list.length, 1);
  assert.notEqual(store.courses.list[0], own[0]);
});

test("what a step leads to is a link that can be read", () => {
  const picture = { levels: levelsOf("regions"), columns: columnSteps(levelsOf("regions")) };
  const settings = [
    "covariance=1&samples=4&rate=0.05&factor=19.9,0,19.9",
    "covariance=1&samples=4&rate=0.001&factor=29.9,0,29.9",
    "covariance=1&samples=50&rate=0.7&factor=1,0.5,0.02",
    "shift=1e15&scale=1e15&baseline=moving-average&rate=0",
    "shift=-1e15&scale=1e15&baseline=moving-average&rate=0&mean=-15,3",
    "tab=moves&shift=1e15&scale=1e15&baseline=moving-average&rate=0",
    "tab=moves&logits=20,-20,0,0,0&rate=0.5&samples=3",
  ];
  for (const text of settings) {
    let { state } = parseState(text);
    for (let step = 0; step < 40; step++) {
      const distribution = distributionOf(state);
      const experiment = distribution.experiment(state, picture);
      if (distribution.problem(experiment)) break;
      state = {
        ...state,
        constant: experiment.best,
        ...afterStep(state, experiment, distribution),
      };
      assert.deepEqual(parseState(formatState(state)), { state, errors: [] }, text);
    }
    assert.ok(state.seed > 0, text);
  }
});
