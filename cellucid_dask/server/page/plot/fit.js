// The viewpoint from which cells fill an area: their projected bounds, without stray cells.
//
// A stray cell is outside the box of 99.9% of the cells by more than the size of that box. To show
// it, the others would have to shrink to less than half.

import { pixelsPerUnit, ZOOM_LIMITS } from "./camera.js";
import { forEachProjected } from "./projection.js";

const OUTSIDE_SHARE = 0.0005; // of the cells at each side of the box
const MIN_CELLS = 100; // of fewer cells, none is stray
const MAX_SAMPLE = 50_000; // cells of which the box is computed
const SMALL_SAMPLE = 5000; // for the ranges of the axes
const MARGIN_SHARE = 0.03; // of the smaller side of the area, around the cells
const MIN_MARGIN = 10; // CSS pixels
const MIN_EXTENT = 1e-3; // of bounds, in plane units: a cell alone has no size
const BAND = 0.35; // height in 1D of the cells, and the labels and arrows above them
// Of a few cells close together, the view shows this share of the extent of all cells at least, so
// that one sees where they are. Of many cells it may be less: each has the same area then.
const [MIN_SHARE, FEW_CELLS] = [0.15, 25];
const [MIN_ZOOM, MAX_ZOOM] = ZOOM_LIMITS;

/** @typedef {{ yaw: number, pitch: number }} Rotation */
/**
 * Which cells count: those without any of `excludedBits` in their flags.
 *
 * @typedef {{ flags?: Uint8Array, excludedBits?: number, keepsStrays?: boolean }} Which
 */
/** @typedef {[left: number, top: number, right: number, bottom: number]} Area CSS pixels */
/** @typedef {[left: number, bottom: number, right: number, top: number]} Bounds plane units */

/**
 * Projected bounds of cells, how many are inside, and how many stray cells are outside; null without
 * cells.
 *
 * @param {Float32Array} points (n, width) as drawn
 * @param {number} width
 * @param {Rotation} rotation
 * @param {Which} which
 * @returns {{ bounds: Bounds, count: number, strayCount: number }}
 */
export function findBounds(points, width, rotation, { flags, excludedBits = 0, keepsStrays }) {
  const bytes = flags && excludedBits ? flags : new Uint8Array(points.length / width);
  const limits = keepsStrays
    ? [-Infinity, -Infinity, Infinity, Infinity]
    : findStrayLimits(points, width, rotation, bytes, excludedBits);
  const [minX, minY, maxX, maxY] = limits;
  let [left, bottom, right, top] = [Infinity, Infinity, -Infinity, -Infinity];
  let [count, strayCount] = [0, 0];
  forEachProjected(points, width, rotation, (i, x, y) => {
    if (bytes[i] & excludedBits) return;
    if (x < minX || x > maxX || y < minY || y > maxY) {
      strayCount++;
      return;
    }
    count++;
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < bottom) bottom = y;
    if (y > top) top = y;
  });
  return count ? { bounds: [left, bottom, right, top], count, strayCount } : null;
}

/**
 * Bounds outside of which cells are stray.
 *
 * @param {Float32Array} points
 * @param {number} width
 * @param {Rotation} rotation
 * @param {Uint8Array} flags
 * @param {number} excludedBits
 * @returns {Bounds}
 */
function findStrayLimits(points, width, rotation, flags, excludedBits) {
  const sample = samplePoints(points, width, flags, excludedBits, MAX_SAMPLE);
  const n = sample.length / width;
  const [xs, ys] = [new Float32Array(n), new Float32Array(n)];
  forEachProjected(sample, width, rotation, (i, x, y) => {
    xs[i] = x;
    ys[i] = y;
  });
  const [[left, right], [bottom, top]] = widen([findCommonRange(xs), findCommonRange(ys)]);
  return [left, bottom, right, top];
}

/**
 * Adds to ranges the largest of their sizes at each side: what is still outside is stray.
 *
 * @param {[low: number, high: number][]} ranges
 */
function widen(ranges) {
  const size = Math.max(...ranges.map(([low, high]) => high - low));
  const room = size > 0 ? size : Infinity; // if nearly all cells are at one place, none is stray
  return ranges.map(([low, high]) => [low - room, high + room]);
}

/**
 * By axis of the embedding: the limits outside of which cells are stray, from wherever one looks.
 *
 * @param {Float32Array} points
 * @param {number} width
 */
export const findUsualLimits = (points, width) => widen(findAxisRanges(points, width));

/**
 * The middle of the box of 99.9% of the cells, in the units of the embedding.
 *
 * @param {Float32Array} points
 * @param {number} width
 */
export const findMiddle = (points, width) =>
  findAxisRanges(points, width).map(([low, high]) => (low + high) / 2);

/**
 * By axis of the embedding: the range of 99.9% of the cells, of a small sample.
 *
 * @param {Float32Array} points
 * @param {number} width
 */
function findAxisRanges(points, width) {
  const nCells = points.length / width;
  const sample = samplePoints(points, width, new Uint8Array(nCells), 0, SMALL_SAMPLE);
  return Array.from({ length: nCells ? width : 0 }, (_, k) =>
    findCommonRange(sample.filter((_x, i) => i % width === k)));
}

/**
 * The range of 99.9% of the values, which it sorts.
 *
 * @param {Float32Array} values
 * @returns {[low: number, high: number]}
 */
function findCommonRange(values) {
  const n = values.length;
  // At least one cell at each side: of a few hundred cells too, one may be stray.
  const rank = n < MIN_CELLS ? 0 : Math.max(1, Math.round(OUTSIDE_SHARE * n));
  values.sort();
  return [values[rank], values[n - 1 - rank]];
}

/**
 * The positions of every kth cell that is not excluded.
 *
 * @param {Float32Array} points
 * @param {number} width
 * @param {Uint8Array} flags
 * @param {number} excludedBits
 * @param {number} maxCells
 */
function samplePoints(points, width, flags, excludedBits, maxCells) {
  const n = points.length / width;
  let included = 0;
  for (let i = 0; i < n; i++) if (!(flags[i] & excludedBits)) included++;
  const stride = Math.ceil(included / maxCells);
  const sample = new Float32Array(included ? width * Math.ceil(included / stride) : 0);
  for (let i = 0, seen = 0, end = 0; end < sample.length; i++) {
    if (flags[i] & excludedBits || seen++ % stride) continue;
    for (let k = 0; k < width; k++) sample[end++] = points[width * i + k];
  }
  return sample;
}

/**
 * The closest zoom at which to look at so many cells.
 *
 * @param {number} count
 * @param {number} usualZoom at which all cells fit
 */
export const closestZoom = (count, usualZoom) =>
  usualZoom / MIN_SHARE / Math.sqrt(Math.min(1, FEW_CELLS / count));

/**
 * Center and zoom with which bounds fill an area of the canvas.
 *
 * bandScale: how much lower the band of cells is in 1D, so that it stays in the area.
 *
 * @param {Bounds} bounds
 * @param {number} dimension
 * @param {Area} area
 * @param {[width: number, height: number]} canvasSize in CSS pixels
 * @param {number} [maxZoom]
 */
export function fitBounds([left, bottom, right, top], dimension, area, canvasSize, maxZoom = MAX_ZOOM) {
  const is1D = dimension === 1;
  const size = [area[2] - area[0], area[3] - area[1]];
  const margin = Math.max(MIN_MARGIN, MARGIN_SHARE * Math.min(...size));
  const room = size.map((length) => Math.max(1, length - 2 * margin));
  const unit = pixelsPerUnit(dimension, canvasSize);
  const byWidth = room[0] / (unit * Math.max(right - left, MIN_EXTENT));
  const byHeight = is1D ? Infinity : room[1] / (unit * Math.max(top - bottom, MIN_EXTENT));
  const zoom = Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, Math.min(byWidth, byHeight, maxZoom)));
  const bandScale = is1D ? Math.min(1, room[1] / (unit * zoom * BAND)) : 1;
  const middle = [(left + right) / 2, is1D ? 0 : (bottom + top) / 2];
  const shift = [ // of the middle of the area from that of the canvas, in plane units
    (area[0] + area[2] - canvasSize[0]) / 2 / (unit * zoom),
    (canvasSize[1] - area[1] - area[3]) / 2 / (unit * zoom * bandScale),
  ];
  return { center: middle.map((x, i) => x - shift[i]), zoom, bandScale };
}

/**
 * The largest part of an area that no box covers.
 *
 * @param {Area} area
 * @param {Area[]} boxes
 * @returns {Area}
 */
export function largestFreeArea(area, boxes) {
  const [left, top, right, bottom] = area;
  const at = boxes.findIndex(([l, t, r, b]) => l < right && r > left && t < bottom && b > top);
  if (at < 0) return area;
  const [l, t, r, b] = boxes[at];
  /** @type {Area[]} */
  const cuts = [[left, top, l, bottom], [r, top, right, bottom],
    [left, top, right, t], [left, b, right, bottom]];
  const areas = cuts.filter((cut) => cut[0] < cut[2] && cut[1] < cut[3])
    .map((cut) => largestFreeArea(cut, boxes.slice(at + 1)));
  const sizeOf = (/** @type {Area} */ part) => (part[2] - part[0]) * (part[3] - part[1]);
  return areas.reduce((best, part) => (sizeOf(part) > sizeOf(best) ? part : best), [0, 0, 0, 0]);
}
