// Readers of the derivation: a paragraph that is pointed at, or focused, shows what it speaks of.

import { elements, keepInPlace } from "./elements.js";

/**
 * What a paragraph shows; nulls while nobody reads.
 *
 * @typedef {{parts: string[] | null, stage: string | null}} Preview
 */

/**
 * Listen to readers.
 *
 * @param {(preview: Preview) => void} show told what to show.
 */
export function listenToReaders(show) {
  const preview = (/** @type {HTMLElement | null} */ paragraph) => {
    const parts = paragraph?.dataset.shows?.split(" ") ?? null;
    markParts(parts);
    const stage = paragraph?.dataset.stage ?? null;
    if (paragraph) keepInPlace(paragraph, () => show({ parts, stage }));
    else show({ parts, stage });
  };
  for (const paragraph of elements("[data-shows]")) {
    paragraph.addEventListener("mouseenter", () => preview(paragraph));
    paragraph.addEventListener("mouseleave", () =>
      preview(elements("[data-shows]:focus")[0] ?? null),
    );
    paragraph.addEventListener("focus", () => preview(paragraph));
    paragraph.addEventListener("blur", () => preview(null));
  }
}

/** @param {string[] | null} parts */
function markParts(parts) {
  for (const part of elements("[data-part]")) {
    const own = part.dataset.part?.split(" ") ?? [];
    part.classList.toggle("meant", Boolean(parts?.some((name) => own.includes(name))));
  }
}
