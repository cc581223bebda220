// Finds the topmost cells: those that are visible at some pixel of a view at rest.
//
// Most of a million cells are covered by others. A slow graphics card takes as long for those as
// for the visible ones: it is quicker to find the topmost cell of each pixel on the CPU and to draw
// these cells first. What the others add is less than a pixel at the rims of cells.

import { forEachProjected } from "./projection.js";

/**
 * Indices, in order, of the topmost cells of all pixels, and of the cells just outside the canvas.
 *
 * points: (n, width) as drawn; size: [w, h] in pixels; radius: of a cell in pixels; heightOf: as of
 * `createHeightOf`.
 *
 * @param {Float32Array} points
 * @param {number} width
 * @param {import("./camera.js").Camera} camera
 * @param {{size: number[], radius: number, heightOf: (i: number, depth: number | null) => number}} cells
 */
export function topmostCells(points, width, camera, { size, radius, heightOf }) {
  const [w, h] = size;
  const { scale, pan } = camera;
  const n = points.length / width;
  const bestHeights = new Float32Array(w * h).fill(-Infinity);
  const bestCells = new Int32Array(w * h).fill(-1);
  const mask = new Uint8Array(n);
  forEachProjected(points, width, camera, (i, x, y, depth) => {
    const px = Math.floor(((x * scale[0] + pan[0] + 1) * w) / 2);
    const py = Math.floor(((y * scale[1] + pan[1] + 1) * h) / 2);
    if (px < -radius || py < -radius || px >= w + radius || py >= h + radius) return;
    const height = heightOf(i, width === 3 ? depth : null);
    if (height < 0) return;
    if (px < 0 || py < 0 || px >= w || py >= h) {
      mask[i] = 1;
      return;
    }
    const pixel = py * w + px;
    if (height < bestHeights[pixel]) return;
    bestHeights[pixel] = height;
    bestCells[pixel] = i;
  });
  for (let pixel = 0; pixel < bestCells.length; pixel++) {
    if (bestCells[pixel] >= 0) mask[bestCells[pixel]] = 1;
  }
  let count = 0;
  for (let i = 0; i < n; i++) count += mask[i];
  const indices = new Uint32Array(count);
  for (let i = 0, end = 0; i < n; i++) if (mask[i]) indices[end++] = i;
  return indices;
}
