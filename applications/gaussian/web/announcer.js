// The address and the live region: they follow the state once it rests, and now and then until it does.

import { element } from "./elements.js";

/** How long a change is waited for, milliseconds. */
const REST = 400;
/** How long they stay behind at most. */
const PATIENCE = 1200;

/** Lets the address and the live region follow. */
export class Announcer {
  #read;
  #timer = 0;
  #since = 0;

  /** @param {() => {link: string, status: string}} read what they are to say. */
  constructor(read) {
    this.#read = read;
  }

  /** Something has changed. */
  soon() {
    const now = performance.now();
    if (this.#timer === 0) this.#since = now;
    clearTimeout(this.#timer);
    const wait = Math.max(0, Math.min(REST, this.#since + PATIENCE - now));
    this.#timer = setTimeout(() => this.now(), wait);
  }

  /** Say it at once. */
  now() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const { link, status } = this.#read();
    if (location.hash !== `#${link}`) history.replaceState(null, "", `#${link}`);
    element("status").textContent = status;
  }
}
