// What hands on the plane do to the page.

import { noiseOf, pointsOf } from "./normal.js";
import { paintDisc, pictureText } from "./reward.js";

/** @import { Desk } from "./hands.js" */
/** @import { Gaussian } from "./normal.js" */
/** @import { Page } from "./page.js" */
/** @import { State } from "./state.js" */

/** What a hand does until it is lifted is one entry of the past. */
const HAND = "hand";

/**
 * The desk of a page.
 *
 * @param {Page} page
 * @returns {Desk}
 */
export function deskOf(page) {
  return {
    gaussian: () => ({ mean: page.state.mean, factor: page.state.factor }),
    take: () => page.runner.stop(),
    setGaussian(gaussian) {
      page.runner.stop();
      if (page.state.tab !== "gaussian") return;
      page.change({ ...gaussian, draws: carried(page.state, gaussian) }, { gesture: HAND });
    },
    tool: () => page.tools.tool,
    brush: () => page.tools.brush,
    paint(stroke) {
      const { tool, brush } = page.tools;
      let { levels } = page.picture;
      for (const [x, y] of stroke) {
        levels = paintDisc(levels, x, y, brush, tool === "good" ? 255 : 0);
      }
      page.change({ reward: pictureText(levels) }, { gesture: HAND });
    },
    guess(vector, isDone) {
      page.screen.guess = { vector, isDone };
      page.screen.request();
    },
    hover(at) {
      page.screen.point(at);
    },
    end(isCancelled) {
      if (isCancelled) {
        page.store.cancel(HAND);
        page.refresh(true);
      } else {
        page.store.seal(HAND);
      }
    },
  };
}

/**
 * Given draws move along with their Gaussian: they stay draws of it.
 *
 * @param {State} state
 * @param {Gaussian} gaussian where they go.
 */
function carried(state, gaussian) {
  if (!state.draws) return null;
  const noise = noiseOf(state, Float64Array.from(state.draws));
  return Array.from(pointsOf(gaussian, noise));
}
