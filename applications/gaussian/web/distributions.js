// The distributions of the page, by the tab that shows them.

import { GAUSSIAN } from "./gaussian.js";
import { MOVES_POLICY } from "./moves.js";

/** @import { Distribution } from "./experiment.js" */
/** @import { State } from "./state.js" */

/**
 * The distribution of a state: what it draws, how it steps, and what is said of it.
 *
 * @param {State} state
 * @returns {Distribution<any, any>}
 */
export function distributionOf({ tab }) {
  return tab === "gaussian" ? GAUSSIAN : MOVES_POLICY;
}
