// Files that people save, and draws that they load.

import { numbersIn, quoted } from "./fields.js";
import { counted } from "./numbers.js";
import { drawSize, messageOf, stateFrom } from "./state.js";

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
 * Draws in a file: a table with one draw in each row, under a header or not; a list in one line or in
 * brackets; or what `Save numbers` saved, with the state of then.
 *
 * @param {File} file
 * @param {State} state for the tab, unless the file has its own.
 * @returns {Promise<Partial<State>>}
 * @throws {Error} the file by name, and what is wrong with it.
 */
export async function drawsIn(file, { tab }) {
  try {
    return drawsInText(await file.text(), tab);
  } catch (error) {
    throw new Error(`${file.name}: ${messageOf(error)}`);
  }
}

/**
 * Draws in the text of a file.
 *
 * @param {string} text
 * @param {string} tab whose draws they are, unless the file has a state.
 * @returns {Partial<State>}
 */
export function drawsInText(text, tab) {
  const bare = text.trim();
  const saved = bare.startsWith("{") ? JSON.parse(bare) : { draws: listIn(bare) };
  const size = drawSize(saved.state?.tab ?? tab);
  const draws = saved.draws === null ? tableIn(bare, size) : joined(saved.draws, size);
  if (draws.length === 0) throw new Error("there are no draws in it");
  if (!saved.state) return { draws };
  const { state, errors } = stateFrom({ ...saved.state, draws: null });
  if (errors.length > 0) throw new Error(errors.join(". "));
  return { ...state, draws };
}

/**
 * The list in brackets, or in a single line; null for a table.
 *
 * @param {string} text
 * @returns {any[] | null}
 */
function listIn(text) {
  try {
    if (text.startsWith("[")) return JSON.parse(text);
  } catch {
    // as other languages print it: without commas, or 1. for 1
  }
  const isList = !/[\r\n]/.test(text) || (text.startsWith("[") && text.lastIndexOf("[") === 0);
  return isList ? numbersIn(withoutBrackets(text)) : null;
}

/** @param {string} text */
function withoutBrackets(text) {
  return text.replace(/[[\]]/g, " ");
}

/**
 * The numbers of a list, which may have a list for each draw.
 *
 * @param {any} list
 * @param {number} size of a draw.
 */
function joined(list, size) {
  if (!Array.isArray(list)) return [];
  const hasRows = list.length > 1 && list.some(Array.isArray);
  if (!hasRows) return list.flat().map(numberIn);
  return list.flatMap((row, k) => rowOf([row].flat(), k + 1, size));
}

/**
 * The numbers of a table, without a first line of names.
 *
 * @param {string} text
 * @param {number} size of a draw.
 */
function tableIn(text, size) {
  const lines = withoutBrackets(text).split(/\r\n|\r|\n/);
  const [header, ...rows] = lines.map((line, k) => ({ number: k + 1, cells: cellsOf(line) }));
  const isHeader = header.cells.every(
    (cell) => /[^\d.,+-]/.test(cell) && Number.isNaN(Number(cell)),
  );
  return (isHeader ? rows : [header, ...rows])
    .filter(({ cells }) => cells.length > 0)
    .flatMap(({ number, cells }) => rowOf(cells, number, size));
}

/**
 * The cells of a line that hold something; the strongest separator in it is the one that separates.
 *
 * @param {string} line
 */
function cellsOf(line) {
  const separator = [";", "\t", ","].find((own) => line.trim().includes(own)) ?? /\s+/;
  return line
    .split(separator)
    .map((cell) => cell.trim())
    .filter((cell) => cell !== "");
}

/**
 * The numbers of one draw.
 *
 * @param {any[]} cells
 * @param {number} number of the row.
 * @param {number} size of a draw.
 */
function rowOf(cells, number, size) {
  const values = cells.map(numberIn);
  if (values.length === size) return values;
  throw new Error(`row ${number} has ${counted(values.length, "number")}, not ${size}`);
}

/** @param {any} cell */
function numberIn(cell) {
  const text = String(cell);
  const value = text.trim() === "" ? NaN : Number(text);
  if (Number.isFinite(value)) return value;
  const hint = /^[-+]?\d*,\d+$/.test(text) ? ": write decimals with a point" : "";
  throw new Error(`${quoted(text)} is not a number${hint}`);
}
