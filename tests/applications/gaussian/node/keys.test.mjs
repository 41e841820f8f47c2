// Keys of a lecturer.

import assert from "node:assert/strict";
import { test } from "node:test";
import { lectureAction } from "../../../../applications/gaussian/web/keys.js";

const KEYS = ["PageDown", "ArrowRight", " ", "PageUp", "ArrowLeft", "Escape", "a"];
const action = (key, fields = {}, tagName = "BODY", more = {}) =>
  lectureAction(
    { key, shiftKey: false, repeat: false, target: { tagName }, ...more },
    { state: { view: "lecture", lesson: 3, ...fields } },
  );
const actions = (...how) => KEYS.map((key) => action(key, ...how));

const [NEXT, BACK, LEAVE] = ["lesson-next", "lesson-back", "present"];

test("a clicker turns the pictures of a lesson, and Escape leaves", () => {
  assert.deepEqual(actions(), [NEXT, NEXT, NEXT, BACK, BACK, LEAVE, ""]);
});

test("keys go no further than the lesson, and turn nothing without one", () => {
  assert.deepEqual(actions({ lesson: 1 }), [NEXT, NEXT, NEXT, "", "", LEAVE, ""]);
  assert.deepEqual(actions({ lesson: 6 }), ["", "", "", BACK, BACK, LEAVE, ""]);
  assert.deepEqual(actions({ lesson: 0 }), ["", "", "", "", "", LEAVE, ""]);
});

test("on the page itself keys are the browser's", () => {
  assert.deepEqual(actions({ view: "page" }), Array(7).fill(""));
});

test("no key is taken from what has the focus", () => {
  assert.deepEqual(actions({}, "INPUT"), ["", "", "", "", "", LEAVE, ""]);
  assert.deepEqual(actions({}, "SELECT"), Array(7).fill(""));
  assert.deepEqual(actions({}, "BUTTON"), [NEXT, NEXT, "", BACK, BACK, LEAVE, ""]);
});

test("a key that is held, or pressed with Shift, turns nothing", () => {
  assert.deepEqual(actions({}, "BODY", { repeat: true }), Array(7).fill(""));
  assert.deepEqual(actions({}, "BODY", { shiftKey: true }), Array(7).fill(""));
});
