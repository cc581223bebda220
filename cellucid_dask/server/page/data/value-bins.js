// How many cells have which value, for a histogram.

import { countCodes } from "./code-counts.js";

const ROUNDING = 1e-6; // of positions: the lowest and the highest value are on the axis

/**
 * @typedef {object} ValueBins
 * @property {Uint32Array} counts of equal bins along the axis, without zeros if none is below 0
 * @property {number} nZeros if no value is below 0
 * @property {number} nMissing
 * @property {number} nBelow before the start of the axis
 * @property {number} nAbove after its end
 * @property {number} nCells all of these
 */

/**
 * Counts the cells of `mask` by their position along the axis of a histogram.
 *
 * @param {import("./columns.js").ContinuousColumn} column
 * @param {number} nBins
 * @param {Uint8Array | null} mask a byte per cell, 1 to count it; null for all cells
 * @param {(value: number) => number} toPosition 0 at the start of the axis, 1 at its end
 * @returns {ValueBins}
 */
export function countPositions(column, nBins, mask, toPosition) {
  const { codes, missingCode, origin, step, zeroCode } = column;
  const counts = new Uint32Array(nBins);
  const bins = { counts, nZeros: 0, nMissing: 0, nBelow: 0, nAbove: 0, nCells: 0 };
  const add = (/** @type {number} */ code, /** @type {number} */ n) => {
    bins.nCells += n;
    if (code >= missingCode) bins.nMissing += n;
    else if (code === zeroCode) bins.nZeros += n;
    else {
      const position = toPosition(origin + code * step);
      if (position < -ROUNDING) bins.nBelow += n;
      else if (position > 1 + ROUNDING) bins.nAbove += n;
      else counts[Math.min(nBins - 1, Math.max(0, Math.floor(position * nBins)))] += n;
    }
  };
  if (codes instanceof Float32Array) {
    for (let i = 0; i < codes.length; i++) if (!mask || mask[i]) add(codes[i], 1);
    return bins;
  }
  countCodes(codes, missingCode, mask).forEach((n, code) => n && add(code, n));
  return bins;
}
