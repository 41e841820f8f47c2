// Where to write what a region is worth: in the middle of the widest places of one level.

import { CELLS, LIMIT } from "./reward.js";

/** Cells along a side of the coarse picture that is looked at. */
const COARSE = 50;
/** A place narrower than this, in coarse cells around its middle, has no room for a word. */
const NARROW_PLACE = 2;
/** At most so many places of one level are named. */
const MOST = 3;

/**
 * A place and the level there.
 *
 * @typedef {{x: number, y: number, level: number}} Label
 */

/**
 * Places to name the highest and the lowest level at, units of the plot.
 *
 * @param {Uint8Array} levels [CELLS · CELLS]
 * @returns {Label[]}
 */
export function labelsOf(levels) {
  const step = CELLS / COARSE;
  const coarse = Uint8Array.from({ length: COARSE * COARSE }, (_, k) => {
    const [row, column] = [Math.floor(k / COARSE), k % COARSE];
    return levels[(row * step + step / 2) * CELLS + column * step + step / 2];
  });
  const highest = coarse.reduce((most, level) => Math.max(most, level), 0);
  const lowest = coarse.reduce((least, level) => Math.min(least, level), 255);
  if (highest === lowest) return [];
  return [...placesOf(coarse, highest).slice(0, MOST), ...placesOf(coarse, lowest).slice(0, 1)];
}

/**
 * The middles of the regions of one level, the widest first.
 *
 * @param {Uint8Array} coarse
 * @param {number} level
 */
function placesOf(coarse, level) {
  const depths = depthsOf(coarse, level);
  const order = Array.from(depths.keys()).sort((a, b) => depths[b] - depths[a]);
  /** @type {Label[]} */
  const places = [];
  const seen = new Uint8Array(coarse.length);
  for (const cell of order) {
    if (depths[cell] < NARROW_PLACE) break;
    if (seen[cell]) continue;
    flood(coarse, seen, cell);
    const [row, column] = [Math.floor(cell / COARSE), cell % COARSE];
    const side = (2 * LIMIT) / COARSE;
    places.push({ x: (column + 0.5) * side - LIMIT, y: LIMIT - (row + 0.5) * side, level });
  }
  return places;
}

/**
 * How many steps each cell of a level is from the next cell of another level, or from the border.
 *
 * @param {Uint8Array} coarse
 * @param {number} level
 */
function depthsOf(coarse, level) {
  const depths = Float64Array.from(coarse, (own) => (own === level ? COARSE : 0));
  const cells = Array.from(depths.keys());

  // Forth and back: each cell is one more than the least of the neighbours that were seen.
  for (const [order, direction] of /** @type {[number[], number][]} */ ([
    [cells, -1],
    [[...cells].reverse(), 1],
  ])) {
    for (const cell of order) {
      const [row, column] = [Math.floor(cell / COARSE), cell % COARSE];
      const isBorder = [row, column].some((at) => at === 0 || at === COARSE - 1);
      const beside = isBorder ? 0 : depths[cell + direction];
      const above = isBorder ? 0 : depths[cell + direction * COARSE];
      depths[cell] = Math.min(depths[cell], 1 + Math.min(beside, above));
    }
  }
  return depths;
}

/**
 * Mark all cells of one region.
 *
 * @param {Uint8Array} coarse
 * @param {Uint8Array} seen written to.
 * @param {number} start
 */
function flood(coarse, seen, start) {
  const waiting = [start];
  while (waiting.length > 0) {
    const cell = waiting.pop() ?? 0;
    if (seen[cell] || coarse[cell] !== coarse[start]) continue;
    seen[cell] = 1;
    const column = cell % COARSE;
    if (column > 0) waiting.push(cell - 1);
    if (column < COARSE - 1) waiting.push(cell + 1);
    if (cell >= COARSE) waiting.push(cell - COARSE);
    if (cell < COARSE * (COARSE - 1)) waiting.push(cell + COARSE);
  }
}
