// Messages: what went wrong, and what is worth knowing, in boxes that can be closed.

import { element, first, write } from "./elements.js";

/** A link of more letters is cut off by many programs. */
export const LONG_LINK = 100_000;

/** The two boxes; they take their room from the page, so that they cover nothing for good. */
export class Messages {
  constructor() {
    for (const id of ["error", "notice"]) {
      first(`#${id} button`).addEventListener("click", () => this.#show(id, ""));
    }
    addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.clear();
    });
  }

  /**
   * Say what went wrong; nothing closes the box.
   *
   * @param {string[]} errors
   */
  complain(errors) {
    this.#show("error", errors.join(". "));
  }

  /**
   * Say something worth knowing; nothing closes the box.
   *
   * @param {string} text
   */
  tell(text) {
    this.#show("notice", text);
  }

  /** Close both. */
  clear() {
    this.complain([]);
    this.tell("");
  }

  /**
   * @param {string} id
   * @param {string} text
   */
  #show(id, text) {
    const box = element(id);
    if (box.hidden && text === "") return;
    write(first(`#${id} span`), text);
    box.hidden = text === "";
    const { height } = element("messages").getBoundingClientRect();
    document.documentElement.style.setProperty("--messages", `${Math.ceil(height)}px`);
  }
}

/**
 * A warning about a link that will not travel.
 *
 * @param {number} length
 */
export function longLinkSentence(length) {
  return (
    `The link to this page has ${length.toLocaleString("en")} letters, nearly all of them the ` +
    "picture. Many programs cut such a link off: use “Save reward” and send the picture instead."
  );
}
