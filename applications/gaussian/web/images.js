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
  if (!isWhole(new Uint8Array(await file.arrayBuffer()))) {
    throw new Error(`${file.name} is cut off: its end is missing, so take the whole file`);
  }
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
 * Whether a PNG or a JPEG has an end: a browser shows the half of one without a word.
 *
 * @param {Uint8Array} bytes
 */
export function isWhole(bytes) {
  const text = new TextDecoder("latin1").decode(bytes);
  if (text.startsWith("PNG", 1)) return text.includes("IEND");
  if (!text.startsWith("ÿØÿ")) return true;
  // Segments with their lengths, one of which may hold a small picture with an end of its own.
  let at = 2;
  while (bytes[at] === 0xff && bytes[at + 1] !== 0xda) {
    at += 2 + 256 * bytes[at + 2] + bytes[at + 3];
  }
  return text.includes("ÿÙ", at);
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
