// Files that people save and load: draws, numbers, pictures.

import { levelsOfImage } from "./reward.js";
import { numbersIn, stateFrom } from "./state.js";

/** Save something under a name. */
export function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/**
 * Draws in a file: numbers in any layout, or what `Save numbers` saved, with the state of then.
 *
 * @param {File} file
 * @returns {Promise<object>} fields of a state.
 * @throws {Error} the file by name, and what is wrong with it.
 */
export async function drawsIn(file) {
  try {
    const text = await file.text();
    const saved = text.trimStart().startsWith("{") ? JSON.parse(text) : { draws: [text.replace(/[[\]]/g, " ")] };
    const draws = Array.isArray(saved.draws) ? numbersIn(saved.draws.map(String).join(" ")) : [];
    if (draws.length === 0) throw new Error("there are no draws in it");
    if (!saved.state) return { draws };
    const { state, errors } = stateFrom({ ...saved.state, draws: null });
    if (errors.length > 0) throw new Error(errors.join(". "));
    return { ...state, draws };
  } catch (error) {
    throw new Error(`${file.name}: ${error.message}`);
  }
}

/**
 * The levels of an image file.
 *
 * @throws {Error} the file by name.
 */
export async function pictureIn(file) {
  try {
    return levelsOfImage(await createImageBitmap(file));
  } catch {
    throw new Error(`${file.name} is not an image that this browser can read`);
  }
}
