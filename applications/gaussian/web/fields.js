// Fields of a state: how each is read from text, and written back.

/**
 * A field.
 *
 * @template T
 * @typedef {object} Field
 * @property {T} value the default.
 * @property {(text: string) => T} read throws what is wrong with a text.
 * @property {(value: T) => string} write
 */

/**
 * Finite numbers in a text, whatever separates them.
 *
 * @param {string} text
 */
export function numbersIn(text) {
  const words = text.split(/[\s,;]+/).filter((word) => word !== "");
  const values = words.map(Number);
  const wrong = values.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw new Error(`${quoted(words[wrong])} is not a number`);
  return values;
}

/**
 * The beginning of a text, in quotation marks.
 *
 * @param {string} text
 */
export function quoted(text) {
  return `“${text.slice(0, 20)}”`;
}

/**
 * One of a few names.
 *
 * @param {string} value the default.
 * @param {string[]} names
 * @returns {Field<string>}
 */
export function choice(value, names) {
  return {
    value,
    read(text) {
      if (!names.includes(text))
        throw new Error(`${quoted(text)} is not one of ${names.join(", ")}`);
      return text;
    },
    write: String,
  };
}

/**
 * Any text.
 *
 * @param {string} value the default.
 * @returns {Field<string>}
 */
export function word(value) {
  return { value, read: (text) => text, write: String };
}

/**
 * Yes or no, as 1 or 0.
 *
 * @param {boolean} value the default.
 * @returns {Field<boolean>}
 */
export function flag(value) {
  const { read } = choice("", ["0", "1"]);
  return { value, read: (text) => read(text) === "1", write: (isSet) => (isSet ? "1" : "0") };
}

/**
 * A number in a range.
 *
 * @param {number} value the default.
 * @param {number} least
 * @param {number} most
 * @returns {Field<number>}
 */
export function number(value, least, most) {
  return {
    value,
    read(text) {
      const given = text.trim() === "" ? NaN : Number(text);
      if (!(given >= least && given <= most)) {
        throw new Error(`${quoted(text)} is not a number from ${least} to ${most}`);
      }
      return given;
    },
    write: String,
  };
}

/**
 * A whole number in a range.
 *
 * @param {number} value the default.
 * @param {number} least
 * @param {number} most
 * @returns {Field<number>}
 */
export function integer(value, least, most) {
  const field = number(value, least, most);
  return {
    ...field,
    read(text) {
      const given = field.read(text);
      if (!Number.isInteger(given)) throw new Error(`${given} is not a whole number`);
      return given;
    },
  };
}

/**
 * So many numbers in a range.
 *
 * @param {number[]} value the default.
 * @param {number} count
 * @param {number} least
 * @param {number} most
 * @returns {Field<number[]>}
 */
export function numbers(value, count, least, most) {
  return {
    value,
    read(text) {
      const given = numbersIn(text);
      if (given.length !== count) throw new Error(`${given.length} numbers, not ${count}`);
      const wrong = given.find((entry) => entry < least || entry > most);
      if (wrong !== undefined) throw new Error(`${wrong} is not from ${least} to ${most}`);
      return given;
    },
    write: (values) => values.join(","),
  };
}
