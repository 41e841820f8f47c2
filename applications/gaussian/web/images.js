// Pictures that people load: what a browser can show becomes levels of a reward.

import { levelsOfImage } from "./reward.js";

/**
 * The levels of an image file.
 *
 * Transparent parts are black. A drawing in one colour on nothing is as bright as it is opaque.
 *
 * @param {File} file
 * @throws {Error} the file by name.
 */
export async function pictureIn(file) {
  const levels = levelsOfImage(await decoded(file));
  if (levels.every((level) => level === levels[0])) {
    throw new Error(
      `${file.name} is equally bright all over, transparent parts counted as black: ` +
        "there is nothing to raise, so choose one with bright and dark parts",
    );
  }
  return levels;
}

/**
 * An image that can be drawn; a drawing in SVG too.
 *
 * @param {File} file
 */
async function decoded(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    return image;
  } catch {
    throw new Error(`${file.name} is not an image that this browser can read`);
  } finally {
    setTimeout(() => URL.revokeObjectURL(image.src), 1000);
  }
}
