// Histograms of values.

/**
 * @typedef {object} Histogram
 * @property {Uint32Array} counts of equal bins from the lowest to the highest value, without zeros
 *   if no value is below 0
 * @property {number} zeroCount of cells at 0 that are not in the bins
 */

/**
 * Counts the cells of `mask` by value.
 *
 * @param {import("./columns.js").ContinuousColumn} column
 * @param {number} nBins
 * @param {Uint8Array | null} mask a byte per cell, 1 to count it; null for all cells
 * @returns {Histogram}
 */
export function countBins(column, nBins, mask) {
  const { codes, missingCode, origin, step, lo, hi } = column;
  const counts = new Uint32Array(nBins + 1); // the last is for cells that no bin has
  const binOf = (/** @type {number} */ value) =>
    Math.min(nBins - 1, Math.max(0, Math.floor(((value - lo) / (hi - lo || 1)) * nBins)));
  let zeroCount = 0;
  const countsZeros = lo >= 0;
  if (codes instanceof Float32Array) {
    const scale = nBins / (hi - lo || 1);
    for (let i = 0; i < codes.length; i++) {
      const value = codes[i];
      if ((mask && !mask[i]) || value >= missingCode) continue;
      if (countsZeros && value === 0) zeroCount++;
      else counts[Math.min(nBins - 1, ((value - lo) * scale) | 0)]++;
    }
  } else {
    const byCode = new Uint32Array(missingCode + 1);
    for (let i = 0; i < codes.length; i++) if (!mask || mask[i]) byCode[codes[i]]++;
    for (let code = 0; code < missingCode; code++) {
      const value = origin + code * step;
      if (countsZeros && value === 0) zeroCount += byCode[code];
      else counts[binOf(value)] += byCode[code];
    }
  }
  return { counts: counts.subarray(0, nBins), zeroCount };
}
