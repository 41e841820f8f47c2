// The text is painted first, and the pictures as soon as they are computed.

import { Page } from "./page.js";

requestAnimationFrame(() => setTimeout(() => new Page()));
