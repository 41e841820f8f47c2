// Numbers as people read them.

/** Below this a number is written with an exponent. */
const SMALLEST_PLAIN = 1e-5;

/**
 * A number with its sign, a true minus, and so many digits after the point.
 *
 * @param {number} value
 * @param {number} digits
 */
export function signed(value, digits) {
  if (!Number.isFinite(value)) return "—";
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

/**
 * Numbers of one unit, in parentheses or, if they are many, side by side.
 *
 * A gradient that would read 0 at the usual digits is written with more of them, or with an
 * exponent; what is as small as the rounding of its unit is 0.
 *
 * @param {ArrayLike<number>} values
 * @param {number} digits after the point, usually.
 */
export function vector(values, digits) {
  const list = Array.from(values);
  const largest = Math.max(...list.map(Math.abs));
  const usual = list.length > 2 ? Math.max(0, digits - 1) : digits;
  const entries = list.map((value) => signed(value, usual));
  if (largest > 0 && largest < 10 ** (1 - usual) && largest > 10 ** (-usual - 9)) {
    const own = 1 - Math.floor(Math.log10(largest));
    const isPlain = largest >= SMALLEST_PLAIN || own <= usual;
    entries.splice(
      0,
      entries.length,
      ...list.map((value) => (isPlain ? signed(value, Math.max(usual, own)) : exponential(value))),
    );
  }
  return list.length > 2 ? entries.join(" ") : `(${entries.join(", ")})`;
}

/**
 * A number with two digits and an exponent.
 *
 * @param {number} value
 */
function exponential(value) {
  if (value === 0) return "0";
  const text = Math.abs(value).toExponential(1).replace("-", "−");
  return (value < 0 ? "−" : "+") + text;
}

/**
 * Digits after the point for figures in the unit of the reward: three where rewards are about 1.
 *
 * @param {number} scale
 */
export function digitsFor(scale) {
  return Math.min(20, Math.max(0, 3 - Math.floor(Math.log10(scale))));
}

/**
 * A size, three digits, whatever it is.
 *
 * @param {number} value
 * @param {number} [digits]
 */
export function size(value, digits = 3) {
  if (value === 0) return "0";
  return Number(value.toPrecision(digits)).toString().replace("-", "−");
}

/**
 * A count with two digits, and thousands kept apart.
 *
 * @param {number} value
 */
export function twoDigits(value) {
  if (value < 10) return value.toFixed(1);
  return Number(value.toPrecision(2)).toLocaleString("en");
}

/**
 * A thing so many times: 1 sample, 2 samples.
 *
 * @param {number} count
 * @param {string} thing
 */
export function counted(count, thing) {
  return `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
}
