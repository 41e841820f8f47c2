// Files that people save, and draws that they load.

import { numbersIn } from "./fields.js";
import { messageOf, stateFrom } from "./state.js";

/** @import { State } from "./state.js" */

/**
 * Save something under a name.
 *
 * @param {string} name
 * @param {Blob} blob
 */
export function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/**
 * Draws in a file: numbers in any layout, under a header or not, or what `Save numbers` saved, with
 * the state of then.
 *
 * @param {File} file
 * @returns {Promise<Partial<State>>}
 * @throws {Error} the file by name, and what is wrong with it.
 */
export async function drawsIn(file) {
  try {
    return drawsInText(await file.text());
  } catch (error) {
    throw new Error(`${file.name}: ${messageOf(error)}`);
  }
}

/**
 * Draws in the text of a file.
 *
 * @param {string} text
 * @returns {Partial<State>}
 */
export function drawsInText(text) {
  const isRecord = text.trimStart().startsWith("{");
  const saved = isRecord ? JSON.parse(text) : { draws: [plainNumbers(text)] };
  const draws = Array.isArray(saved.draws) ? numbersIn(saved.draws.map(String).join(" ")) : [];
  if (draws.length === 0) throw new Error("there are no draws in it");
  if (!saved.state) return { draws };
  const { state, errors } = stateFrom({ ...saved.state, draws: null });
  if (errors.length > 0) throw new Error(errors.join(". "));
  return { ...state, draws };
}

/**
 * The text without brackets, and without a first line of names.
 *
 * @param {string} text
 */
function plainNumbers(text) {
  const [header, ...rows] = text.replace(/[[\]]/g, " ").trimStart().split("\n");
  const words = header.split(/[\s,;]+/).filter((word) => word !== "");
  const isHeader = rows.length > 0 && words.every((word) => Number.isNaN(Number(word)));
  return (isHeader ? rows : [header, ...rows]).join("\n");
}
