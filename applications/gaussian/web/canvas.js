// What the two canvases share: sharp pixels, the colours of the style sheet, arrows, crosses.

/** Fit a canvas to its place on the page; returns a context in CSS pixels, and the size in them. */
export function prepared(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = devicePixelRatio;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

const NAMES = [
  "ink", "muted", "paper", "line", "density", "score", "good", "bad", "truth", "low", "high",
];

/** The colours of the style sheet, as they are in the light or in the dark. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Add an arrow to the present path: a line, and a head no longer than a third of it. */
export function traceArrow(context, x, y, dx, dy, head) {
  const length = Math.hypot(dx, dy);
  if (length < 0.5) return;
  const [ux, uy] = [dx / length, dy / length];
  const size = Math.min(head, length / 2);
  const [tipX, tipY] = [x + dx, y + dy];
  context.moveTo(x, y);
  context.lineTo(tipX - size * ux, tipY - size * uy);
  context.moveTo(tipX, tipY);
  context.lineTo(tipX - size * ux - 0.45 * size * uy, tipY - size * uy + 0.45 * size * ux);
  context.lineTo(tipX - size * ux + 0.45 * size * uy, tipY - size * uy - 0.45 * size * ux);
  context.lineTo(tipX, tipY);
}

/** Add a disc to the present path. */
export function traceDisc(context, x, y, radius) {
  context.moveTo(x + radius, y);
  context.arc(x, y, radius, 0, 2 * Math.PI);
}

/** Add a cross to the present path, upright or lying. */
export function traceCross(context, x, y, radius, lying = false) {
  const [a, b] = lying ? [radius, radius] : [radius, 0];
  context.moveTo(x - a, y - b);
  context.lineTo(x + a, y + b);
  context.moveTo(x + b, y - a);
  context.lineTo(x - b, y + a);
}
