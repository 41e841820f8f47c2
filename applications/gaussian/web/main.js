// The text is painted first, and the pictures as soon as they are computed.

import { element } from "./elements.js";
import { Page } from "./page.js";

/** Where the page is on the docs site, which has the pages that it then links to. */
const ON_SITE = /^https?:.*\/gaussian-playground\.html/;

element("site").hidden = !ON_SITE.test(location.href);
requestAnimationFrame(() => setTimeout(() => new Page()));
