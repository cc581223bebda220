// What is drawn over the cells with a 2D context: arrows, labels and the outline of a lasso.
//
// All functions take a camera and draw in CSS pixels: a picture scales its context before.

import { place } from "./project.js";

const MOST_LABELS = 3000; // more are not even looked at
const BINS = { 1: 90, 2: 42, 3: 16 }; // on the side of the embedding that arrows are means over
const FONT = '600 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';

const toPixel = (camera, position) => {
  const [x, y] = place(position, camera);
  return camera.toPixel(x, y);
};

/** Labels [{text, position}], the most important first; none over another. */
export function paintLabels(context, camera, labels, { text, ground }) {
  const [width, height] = camera.extent;
  const taken = [];
  context.font = FONT;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.lineWidth = 3.5;
  for (const { text: name, position } of labels.slice(0, MOST_LABELS)) {
    const [x, y] = toPixel(camera, position);
    if (x < 0 || y < 0 || x > width || y > height) continue;
    const shown = name.length > 32 ? `${name.slice(0, 31)}…` : name;
    const half = context.measureText(shown).width / 2 + 2;
    const box = [x - half, y - 8, x + half, y + 8];
    const over = (o) => box[0] <= o[2] && box[2] >= o[0] && box[1] <= o[3] && box[3] >= o[1];
    if (taken.some(over)) continue;
    taken.push(box);
    context.strokeStyle = ground;
    context.strokeText(shown, x, y);
    context.fillStyle = text;
    context.fillText(shown, x, y);
  }
  return taken.length;
}

/**
 * Arrows of a vector field: means over the visible cells of boxes of the embedding.
 *
 * points: (n, width) as drawn; vectors: (n, d); gives [{from, to}] in units of the embedding.
 */
export function arrows(points, width, vectors, d, seen) {
  const side = BINS[d];
  const sums = new Map();
  const n = vectors.length / d;
  for (let i = 0; i < n; i++) {
    if (!seen(i)) continue;
    let bin = 0;
    for (let k = 0; k < d; k++) {
      bin = bin * side + Math.min(side - 1, Math.floor(((points[width * i + k] + 1) / 2) * side));
    }
    let sum = sums.get(bin);
    if (!sum) sums.set(bin, (sum = new Float64Array(2 * d + 1)));
    for (let k = 0; k < d; k++) {
      const vector = vectors[d * i + k];
      sum[k] += points[width * i + k];
      if (Number.isFinite(vector)) sum[d + k] += vector;
    }
    sum[2 * d]++;
  }
  const means = [...sums.values()].map((sum) => Array.from(sum, (x) => x / sum[2 * d]));
  const lengths = means.map((mean) => Math.hypot(...mean.slice(d, 2 * d))).sort((a, b) => a - b);
  const usual = lengths[Math.floor(0.95 * (lengths.length - 1))] || 1;
  const stretch = 2.2 / side / usual; // all but the longest stay within about a box
  const up = d === 1 ? [0.17] : []; // above the band of cells
  return means.map((mean) => ({
    from: [...mean.slice(0, d), ...up],
    to: [...mean.slice(0, d).map((x, k) => x + stretch * mean[d + k]), ...up],
  }));
}

export function paintArrows(context, camera, list, { text, ground }) {
  const path = new Path2D();
  for (const { from, to } of list) {
    const [[x, y], [u, v]] = [toPixel(camera, from), toPixel(camera, to)];
    const [dx, dy] = [u - x, v - y];
    const length = Math.hypot(dx, dy);
    if (length < 1.5) continue;
    const head = Math.min(6, 0.45 * length) / length;
    path.moveTo(x, y);
    path.lineTo(u, v);
    for (const side of [0.6, -0.6]) {
      path.moveTo(u, v);
      path.lineTo(u - head * (dx - side * dy), v - head * (dy + side * dx));
    }
  }
  context.lineCap = "round";
  for (const [colour, width] of [[ground, 2.4], [text, 1.1]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke(path);
  }
}

/** Outline of plane coordinates, while it is drawn. */
export function paintOutline(context, camera, outline, { accent }) {
  context.beginPath();
  outline.forEach(([x, y]) => context.lineTo(...camera.toPixel(x, y)));
  context.closePath();
  context.strokeStyle = accent;
  context.lineWidth = 1.5;
  context.setLineDash([5, 4]);
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 0.12;
  context.fillStyle = accent;
  context.fill();
  context.globalAlpha = 1;
}
