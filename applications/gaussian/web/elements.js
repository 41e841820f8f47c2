// The page's own elements, by the ids and types that the modules count on.

/**
 * The element of an id.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element “${id}”`);
  return found;
}

/**
 * The canvas of an id.
 *
 * @param {string} id
 * @returns {HTMLCanvasElement}
 */
export function canvasOf(id) {
  return /** @type {HTMLCanvasElement} */ (element(id));
}

/**
 * All elements that a selector finds.
 *
 * @param {string} selector
 * @returns {HTMLElement[]}
 */
export function elements(selector) {
  return Array.from(document.querySelectorAll(selector));
}

/**
 * The first element that a selector finds.
 *
 * @param {string} selector
 * @returns {HTMLElement}
 */
export function first(selector) {
  const [found] = elements(selector);
  if (!found) throw new Error(`the page has no element “${selector}”`);
  return found;
}

/**
 * Change a text, only if it is another: an equal one would be laid out again all the same.
 *
 * @param {Element} place
 * @param {string} text
 */
export function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** A page that is too narrow for the experiment to stand beside the text. */
const NARROW = "(max-width: 67.99rem)";

/**
 * Do something, and keep a thing where it is in a narrow window, whatever grows or goes above it.
 *
 * @param {Element} thing
 * @param {() => void} act
 */
export function keepInPlace(thing, act) {
  const { top } = thing.getBoundingClientRect();
  act();
  requestAnimationFrame(() => {
    const isSeen = thing.getClientRects().length > 0;
    if (matchMedia(NARROW).matches && isSeen) scrollBy(0, thing.getBoundingClientRect().top - top);
  });
}
