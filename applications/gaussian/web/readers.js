// Readers of the derivation: a paragraph that is pointed at, or focused, shows what it speaks of.

/**
 * Listen to readers.
 *
 * @param {(preview: {parts: string[] | null, stage: string | null}) => void} show told what to show,
 *     nulls when nobody reads.
 */
export function listenToReaders(show) {
  const preview = (paragraph) => {
    const parts = paragraph?.dataset.shows.split(" ") ?? null;
    markParts(parts);
    show({ parts, stage: paragraph?.dataset.stage ?? null });
  };
  for (const paragraph of document.querySelectorAll("[data-shows]")) {
    paragraph.addEventListener("mouseenter", () => preview(paragraph));
    paragraph.addEventListener("mouseleave", () => preview(document.querySelector("[data-shows]:focus")));
    paragraph.addEventListener("focus", () => preview(paragraph));
    paragraph.addEventListener("blur", () => preview(null));
  }
}

function markParts(parts) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const isMeant = parts?.some((name) => part.dataset.part.split(" ").includes(name));
    part.classList.toggle("meant", Boolean(isMeant));
  }
}
