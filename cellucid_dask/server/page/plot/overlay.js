// What is drawn over the cells with a 2D context: arrows and the outline of a lasso.
//
// All functions draw in CSS pixels; for a picture the caller scales the context.

import { project } from "./projection.js";

const BINS_PER_SIDE = [0, 90, 42, 16]; // by dimension; an arrow is the mean of a bin

/**
 * @param {import("./camera.js").Camera} camera
 * @param {number[]} position
 */
const toPixel = (camera, position) => {
  const [x, y] = project(position, camera);
  return camera.toPixel(x, y);
};

/** @typedef {{from: number[], to: number[]}} Arrow */

/**
 * Arrows of a vector field [{from, to}], in units of the embedding.
 *
 * An arrow is the mean of the vectors of all visible cells in a bin, a small box of the embedding.
 * points: (n, width) as drawn; vectors: (n, d).
 *
 * @param {Float32Array} points
 * @param {number} width
 * @param {Float32Array} vectors
 * @param {number} d
 * @param {(i: number) => boolean} isVisible
 * @returns {Arrow[]}
 */
export function createArrows(points, width, vectors, d, isVisible) {
  const side = BINS_PER_SIDE[d];
  const sums = new Map();
  const n = vectors.length / d;
  for (let i = 0; i < n; i++) {
    if (!isVisible(i)) continue;
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
  const longLength = lengths[Math.floor(0.95 * (lengths.length - 1))] || 1; // without outliers
  const stretch = 2.2 / side / longLength; // nearly all arrows stay within about one bin
  const y = d === 1 ? [0.17] : []; // in 1D: above the band of cells
  return means.map((mean) => ({
    from: [...mean.slice(0, d), ...y],
    to: [...mean.slice(0, d).map((x, k) => x + stretch * mean[d + k]), ...y],
  }));
}

/**
 * @param {import("../figure/svg-context.js").Painter} context
 * @param {import("./camera.js").Camera} camera
 * @param {Arrow[]} arrows
 * @param {{text: string, background: string}} colors of CSS
 */
export function drawArrows(context, camera, arrows, { text, background }) {
  context.beginPath();
  for (const { from, to } of arrows) {
    const [[x, y], [u, v]] = [toPixel(camera, from), toPixel(camera, to)];
    const [dx, dy] = [u - x, v - y];
    const length = Math.hypot(dx, dy);
    if (length < 1.5) continue;
    const head = Math.min(6, 0.45 * length) / length;
    context.moveTo(x, y);
    context.lineTo(u, v);
    for (const side of [0.6, -0.6]) {
      context.moveTo(u, v);
      context.lineTo(u - head * (dx - side * dy), v - head * (dy + side * dx));
    }
  }
  context.lineCap = "round";
  /** @type {[string, number][]} */
  const strokes = [[background, 2.4], [text, 1.1]];
  for (const [color, width] of strokes) {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.stroke();
  }
}

/**
 * Draws the outline of a lasso, in plane coordinates, while the user draws it.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {import("./camera.js").Camera} camera
 * @param {number[][]} outline
 * @param {{accent: string}} colors of CSS
 */
export function drawOutline(context, camera, outline, { accent }) {
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
