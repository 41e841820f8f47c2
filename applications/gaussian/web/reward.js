// Rewards: every reward is a picture of CELLS × CELLS grey levels over the plotted square.
//
// A picture is flat inside its cells and jumps between them, so no reward here has a gradient that
// could be used. Bright is good: level 0 is worth −1, 255 is worth +1, and so is −1 all around.

/** The plotted square is [−LIMIT, LIMIT]². */
export const LIMIT = 3.4;
/** Levels by which one colour may differ from itself, by rounding. */
const INK = 8;
export const CELLS = 200;
const SIDE = (2 * LIMIT) / CELLS;

/** What a picture in text begins with. */
export const PICTURE = "picture:";

/** Ellipses worth +1: centre x, y, half axes, degrees from the x axis to the first half axis. */
const REGIONS = [
  [-1.15, -0.8, 1.2, 0.6, -40],
  [0.6, -1.75, 0.45, 0.45, 0],
  [1.8, 1.5, 0.4, 0.4, 0],
];

const ELLIPSES = REGIONS.map(([x, y, a, b, degrees]) => {
  const angle = (degrees * Math.PI) / 180;
  return { x, y, a, b, cos: Math.cos(angle), sin: Math.sin(angle) };
});

/**
 * The rewards to start from: functions of a point, worth −1 to 1.
 *
 * @type {Record<string, (x: number, y: number) => number>}
 */
export const BUILT_IN = {
  regions: (x, y) => (ELLIPSES.some((ellipse) => isInside(ellipse, x, y)) ? 1 : -1),
  ring: (x, y) => (Math.abs(Math.hypot(x, y) - 1.75) < 0.25 ? 1 : -1),
  hills: (x, y) => 2 * Math.max(hill(x + 1.4, y + 1.1), 0.6 * hill(x - 1.6, y - 1.2)) - 1,
  checkerboard: (x, y) => ((Math.floor(x / 0.85) + Math.floor(y / 0.85)) % 2 === 0 ? 1 : -1),
};

/**
 * Whether a point is inside an ellipse.
 *
 * @param {(typeof ELLIPSES)[number]} ellipse
 * @param {number} x
 * @param {number} y
 */
function isInside(ellipse, x, y) {
  const { a, b, cos, sin } = ellipse;
  const [dx, dy] = [x - ellipse.x, y - ellipse.y];
  return ((dx * cos + dy * sin) / a) ** 2 + ((dy * cos - dx * sin) / b) ** 2 < 1;
}

/**
 * A hill of height 1.
 *
 * @param {number} x
 * @param {number} y
 */
function hill(x, y) {
  return Math.exp(-(x * x + y * y) / (2 * 0.7 ** 2));
}

/**
 * Grey levels [CELLS · CELLS], row by row from the top, of a reward as a state has it.
 *
 * @param {string} reward the name of a built-in one, or what `pictureText` made.
 * @throws {Error} there is no such reward, or its text is damaged.
 */
export function levelsOf(reward) {
  if (reward.startsWith(PICTURE)) return levelsOfText(reward.slice(PICTURE.length));
  if (!Object.hasOwn(BUILT_IN, reward)) {
    throw new Error(`“${reward.slice(0, 20)}” is not one of ${Object.keys(BUILT_IN).join(", ")}`);
  }
  const levels = new Uint8Array(CELLS * CELLS);
  for (let row = 0; row < CELLS; row++) {
    for (let column = 0; column < CELLS; column++) {
      const value = BUILT_IN[reward]((column + 0.5) * SIDE - LIMIT, LIMIT - (row + 0.5) * SIDE);
      levels[row * CELLS + column] = Math.round(127.5 * (value + 1));
    }
  }
  return levels;
}

/**
 * Rewards [n] of points [2n]: shift + scale · (level / 127.5 − 1).
 *
 * @param {{levels: Uint8Array, shift: number, scale: number}} reward
 * @param {Float64Array} points
 */
export function rewardsOf({ levels, shift, scale }, points) {
  const rewards = new Float64Array(points.length / 2);
  const values = Float64Array.from(
    { length: 256 },
    (_, level) => shift + scale * (level / 127.5 - 1),
  );
  for (let k = 0; k < rewards.length; k++) {
    const column = Math.floor(((points[2 * k] + LIMIT) / (2 * LIMIT)) * CELLS);
    const row = Math.floor(((LIMIT - points[2 * k + 1]) / (2 * LIMIT)) * CELLS);
    const isOutside = column < 0 || row < 0 || column >= CELLS || row >= CELLS;
    rewards[k] = values[isOutside ? 0 : levels[row * CELLS + column]];
  }
  return rewards;
}

/**
 * Copy of the levels with a disc of one level.
 *
 * @param {Uint8Array} levels
 * @param {number} x of its centre.
 * @param {number} y of its centre.
 * @param {number} radius units of the plot.
 * @param {number} level
 */
export function paintDisc(levels, x, y, radius, level) {
  const painted = levels.slice();
  for (let row = 0; row < CELLS; row++) {
    const dy = LIMIT - (row + 0.5) * SIDE - y;
    if (Math.abs(dy) > radius) continue;
    for (let column = 0; column < CELLS; column++) {
      const dx = (column + 0.5) * SIDE - LIMIT - x;
      if (dx * dx + dy * dy <= radius * radius) painted[row * CELLS + column] = level;
    }
  }
  return painted;
}

/**
 * A context to draw on that is on no page, CELLS × CELLS.
 *
 * @returns {OffscreenCanvasRenderingContext2D}
 */
function offscreen() {
  const context = new OffscreenCanvas(CELLS, CELLS).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser draws no pictures");
  return context;
}

/**
 * Levels of a decoded image, stretched over the square; grey by the weights of ITU-R BT.601.
 *
 * Transparent parts are black. A drawing in one colour on nothing is as bright as it is opaque.
 *
 * @param {CanvasImageSource} image
 */
export function levelsOfImage(image) {
  const context = offscreen();
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, CELLS, CELLS);
  const opacities = levelsIn(context, (data, k) => data[k + 3]);
  const inks = levelsIn(context, greyAt);

  context.globalCompositeOperation = "destination-over";
  context.fillRect(0, 0, CELLS, CELLS);
  const levels = levelsIn(context, greyAt);
  return isInk(inks, opacities) ? opacities : levels;
}

/**
 * The grey of a pixel.
 *
 * @param {Uint8ClampedArray} data
 * @param {number} k where it begins.
 */
function greyAt(data, k) {
  return (19595 * data[k] + 38470 * data[k + 1] + 7471 * data[k + 2] + 32768) >> 16;
}

/**
 * Whether all that is seen has one colour, and something is transparent.
 *
 * @param {Uint8Array} inks the grey of each cell, whatever its opacity.
 * @param {Uint8Array} opacities
 */
function isInk(inks, opacities) {
  const most = opacities.reduce((largest, opacity) => Math.max(largest, opacity), 0);
  const seen = inks.filter((_, k) => 2 * opacities[k] >= most);
  const spread = seen.reduce(
    ([least, most], ink) => [Math.min(least, ink), Math.max(most, ink)],
    [255, 0],
  );
  return seen.length < inks.length && spread[1] - spread[0] <= INK;
}

/**
 * A level for each cell of what was drawn.
 *
 * @param {OffscreenCanvasRenderingContext2D} context
 * @param {(data: Uint8ClampedArray, k: number) => number} level
 */
function levelsIn(context, level) {
  const { data } = context.getImageData(0, 0, CELLS, CELLS);
  return Uint8Array.from({ length: CELLS * CELLS }, (_, k) => level(data, 4 * k));
}

/**
 * A grey PNG of the levels: what `make gaussian ARGS="--reward reward.png"` takes.
 *
 * @param {Uint8Array} levels
 */
export function pngOf(levels) {
  const context = offscreen();
  const image = context.createImageData(CELLS, CELLS);
  levels.forEach((level, k) => {
    image.data.set([level, level, level, 255], 4 * k);
  });
  context.putImageData(image, 0, 0);
  return context.canvas.convertToBlob({ type: "image/png" });
}

/**
 * Levels as a state has them: runs of (length, level), bytes in URL-safe base 64.
 *
 * @param {Uint8Array} levels
 */
export function pictureText(levels) {
  const bytes = [];
  for (let start = 0; start < levels.length; ) {
    let end = start;
    while (end < levels.length && end - start < 255 && levels[end] === levels[start]) end++;
    bytes.push(String.fromCharCode(end - start, levels[start]));
    start = end;
  }
  const text = btoa(bytes.join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return PICTURE + text;
}

/**
 * The levels in a text.
 *
 * @param {string} text
 */
function levelsOfText(text) {
  const damaged = new Error("the painted reward in this link is damaged");
  let bytes;
  try {
    bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    throw damaged;
  }
  const levels = [];
  for (let k = 0; k + 1 < bytes.length; k += 2) {
    for (let run = bytes.charCodeAt(k); run > 0; run--) levels.push(bytes.charCodeAt(k + 1));
  }
  if (bytes.length % 2 || levels.length !== CELLS * CELLS) throw damaged;
  return Uint8Array.from(levels);
}
