// Finds the topmost cells: those that are visible at some pixel of a view at rest.
//
// Most of a million cells are covered by others. A slow graphics card takes as long for those as
// for the visible ones: it is quicker to find the topmost cell of each pixel on the CPU and to draw
// these cells first. What the others add is less than a pixel at the rims of cells.

import { forEachProjected } from "./projection.js";

const HIDDEN = -1; // the other layers are as in the shader: 0 below all others, up to 1

/** A function from the index of a cell to its layer, by the same rule as the shader. */
export function createLayerOf(appearance, { code: codes, outlier, selected, palette }) {
  const [origin, step, missingCode, logShift] = appearance.decoding;
  const [low, high] = appearance.range;
  const layerOfValue = (code) => {
    if (code >= missingCode) return 0;
    const value = origin + code * step;
    const scaled = appearance.useLog ? Math.log(value + logShift) : value;
    return 0.01 + 0.98 * Math.min(1, Math.max(0, (scaled - low) / Math.max(high - low, 1e-30)));
  };
  const layerOfCategory = (code) => {
    const alpha = palette[4 * Math.min(code, missingCode) + 3];
    return alpha ? Number(alpha > 127) : HIDDEN;
  };
  const layerOfCode = [() => 1, layerOfCategory, layerOfValue][appearance.columnKind];
  const isInteger = codes && !(codes instanceof Float32Array);
  const nCodes = isInteger ? 256 ** codes.BYTES_PER_ELEMENT : 0;
  const table = Float32Array.from({ length: nCodes }, (_, code) => layerOfCode(code));
  const [from, to] = appearance.hiddenOutliers;
  return (i) => {
    if (outlier && outlier[i] > from && outlier[i] < to) return HIDDEN;
    const layer = isInteger ? table[codes[i]] : layerOfCode(codes?.[i]);
    return selected && !selected[i] && layer > 0 ? 0 : layer;
  };
}

/**
 * Indices, in order, of the topmost cells of all pixels, and of the cells just outside the canvas.
 *
 * points: (n, width) as drawn; size: [w, h] in pixels; radius: of a cell in pixels; orderShare:
 * part of the depth that the index of a cell has in 1D and 2D, as in the shader.
 */
export function topmostCells(points, width, camera, { size, radius, layerOf, orderShare }) {
  const [w, h] = size;
  const { scale, pan } = camera;
  const n = points.length / width;
  const bestKeys = new Float32Array(w * h).fill(-Infinity);
  const bestCells = new Int32Array(w * h).fill(-1);
  const mask = new Uint8Array(n);
  forEachProjected(points, width, camera, (i, x, y, depth) => {
    const px = Math.floor(((x * scale[0] + pan[0] + 1) * w) / 2);
    const py = Math.floor(((y * scale[1] + pan[1] + 1) * h) / 2);
    if (px < -radius || py < -radius || px >= w + radius || py >= h + radius) return;
    const layer = layerOf(i);
    if (layer < 0) return;
    if (px < 0 || py < 0 || px >= w || py >= h) {
      mask[i] = 1;
      return;
    }
    const height = width === 3 ? depth : layer * (1 - orderShare) + (i / n) * orderShare;
    const key = layer > 0 ? height : height - 10;
    const pixel = py * w + px;
    if (key < bestKeys[pixel]) return;
    bestKeys[pixel] = key;
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
