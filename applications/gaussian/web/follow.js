// Follow one pointer from where it went down until it is lifted, or Escape is pressed.

/**
 * What follows a pointer.
 *
 * @typedef {object} Follower
 * @property {(event: PointerEvent) => void} move
 * @property {(isCancelled: boolean) => void} end
 */

/**
 * Follow a pointer.
 *
 * @param {HTMLElement} element
 * @param {PointerEvent} event with which it went down.
 * @param {Follower} follower
 */
export function follow(element, { pointerId }, follower) {
  element.setPointerCapture(pointerId);
  const ends = new AbortController();
  const end = (/** @type {boolean} */ isCancelled) => {
    ends.abort();
    if (element.hasPointerCapture(pointerId)) element.releasePointerCapture(pointerId);
    follower.end(isCancelled);
  };
  const options = { signal: ends.signal };
  const isOurs = (/** @type {PointerEvent} */ next) => next.pointerId === pointerId;
  element.addEventListener("pointermove", (next) => isOurs(next) && follower.move(next), options);
  element.addEventListener("pointerup", (next) => isOurs(next) && end(false), options);
  element.addEventListener("pointercancel", (next) => isOurs(next) && end(false), options);
  addEventListener(
    "keydown",
    (key) => {
      if (key.key !== "Escape") return;
      key.stopPropagation();
      end(true);
    },
    { ...options, capture: true },
  );
}
