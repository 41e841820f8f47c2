// Numbers as people read them.

/** From here on, and with more digits than these, a number is written with an exponent. */
const LARGEST_PLAIN = 1e7;
const MOST_DIGITS = 10;
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
  if (Math.abs(value) >= LARGEST_PLAIN || digits > MOST_DIGITS) return exponential(value, 2);
  const text = Math.abs(value).toFixed(Math.max(0, digits));
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

/**
 * A reward, or what is in its unit: as many digits as it needs, whatever the scale of the rewards.
 *
 * @param {number} value
 * @param {number} scale
 * @param {number} [digits] after the point where rewards are about 1.
 */
export function amount(value, scale, digits = 2) {
  return signed(value, digitsFor(scale) + digits - 3);
}

/**
 * The scale of weights and estimates: standardised rewards have none of their own.
 *
 * @param {{baseline: string, scale: number}} state
 */
export function unitOf({ baseline, scale }) {
  return baseline === "standardized" ? 1 : scale;
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
      ...list.map((value) =>
        isPlain ? signed(value, Math.max(usual, own)) : exponential(value, 1),
      ),
    );
  }
  return list.length > 2 ? entries.join(" ") : `(${entries.join(", ")})`;
}

/**
 * A number with an exponent.
 *
 * @param {number} value
 * @param {number} digits after the point.
 */
function exponential(value, digits) {
  if (value === 0) return "0";
  const text = Math.abs(value).toExponential(digits).replace("-", "−").replace("+", "");
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
  const short = Number(value.toPrecision(digits));
  const text = Math.abs(short) < LARGEST_PLAIN ? short.toString() : short.toExponential();
  return text.replaceAll("-", "−").replace("+", "");
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
