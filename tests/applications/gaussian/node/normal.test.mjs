// The Gaussian: the step along the natural gradient.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  axesOf,
  factorGradient,
  factorOf,
  noiseOf,
  stepOf,
} from "../../../../applications/gaussian/web/normal.js";

const TILTED = { mean: [0.4, -0.3], factor: [0.8, 0.5, 0.6] };
const POINTS = [0.1, 0.9, -1.2, 0.3, 2.1, -0.4, 0.6, 0.7, -0.5, -2.2];
const WEIGHTS = [0.7, -1.1, 0.4, 2, -0.3];

const close = (actual, expected, tolerance = 1e-9) => {
  assert.equal(actual.length, expected.length);
  for (const [k, value] of actual.entries()) {
    assert.ok(Math.abs(value - expected[k]) < tolerance, `${actual} is not ${expected}`);
  }
};

const covarianceOf = ([l11, l21, l22]) => [l11 * l11, l11 * l21, l21 * l21 + l22 * l22];

/** R Σ Rᵀ for the entries 11, 21, 22. */
const turned = ([xx, xy, yy], angle) => {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [
    c * c * xx - 2 * c * s * xy + s * s * yy,
    c * s * (xx - yy) + (c * c - s * s) * xy,
    s * s * xx + 2 * c * s * xy + c * c * yy,
  ];
};

const turnedPoints = (points, angle) =>
  points.map((_, k) => {
    const [x, y] = points.slice(k - (k % 2), k - (k % 2) + 2);
    return k % 2 === 0
      ? Math.cos(angle) * x - Math.sin(angle) * y
      : Math.sin(angle) * x + Math.cos(angle) * y;
  });

const choleskyOf = ([xx, xy, yy]) => [
  Math.sqrt(xx),
  xy / Math.sqrt(xx),
  Math.sqrt(yy - (xy * xy) / xx),
];

const stepFrom = (gaussian, points) => {
  const bend = factorGradient(noiseOf(gaussian, points), WEIGHTS);
  return stepOf(gaussian, [0, 0], bend, 0.6);
};

for (const angle of [0.3, Math.PI / 4, 2, 5.5]) {
  test(`a step turns by ${angle.toFixed(2)} with its gradient`, () => {
    const other = {
      mean: turnedPoints(TILTED.mean, angle),
      factor: choleskyOf(turned(covarianceOf(TILTED.factor), angle)),
    };
    const after = stepFrom(TILTED, POINTS);
    const otherAfter = stepFrom(other, turnedPoints(POINTS, angle));
    close(covarianceOf(otherAfter.factor), turned(covarianceOf(after.factor), angle));
  });
}

test("the step is L exp(M) Lᵀ", () => {
  // exp [[0, b], [b, 0]] = [[cosh b, sinh b], [sinh b, cosh b]]
  const { factor } = stepOf({ mean: [0, 0], factor: [1, 0, 1] }, [0, 0], [0, 0.7, 0], 1);
  close(covarianceOf(factor), [Math.cosh(0.7), Math.sinh(0.7), Math.cosh(0.7)], 1e-12);
  const diagonal = stepOf({ mean: [0, 0], factor: [1, 0, 1] }, [0, 0], [0.4, 0, -0.6], 1);
  close(covarianceOf(diagonal.factor), [Math.exp(0.4), 0, Math.exp(-0.6)], 1e-12);
});

test("no gradient leaves the factor as it is, to the last bit", () => {
  assert.deepEqual(stepOf(TILTED, [0, 0], [0, 0, 0], 3).factor, TILTED.factor);
});

test("a large step has a positive diagonal, and keeps the determinant", () => {
  for (const bend of [
    [-30, 1e-9, 30],
    [30, 1e-9, -30],
    [-20, 15, 20],
  ]) {
    const { factor } = stepOf({ mean: [0, 0], factor: [1, 0, 1] }, [0, 0], bend, 1);
    assert.ok(factor[0] > 0 && factor[2] > 0);
    close([factor[0] * factor[2]], [Math.exp((bend[0] + bend[2]) / 2)], 1e-9);
  }
});

test("a factor has the axes that it was made from", () => {
  const axes = axesOf(TILTED);
  close(factorOf(axes), TILTED.factor);
});
