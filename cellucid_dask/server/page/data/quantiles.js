// Quantiles of the values of a column: which range of colors shows most of its cells.

import { countCodes } from "./code-counts.js";

/** @typedef {import("./columns.js").ContinuousColumn} ContinuousColumn */

const [LOW_SHARE, HIGH_SHARE] = [0.01, 0.99]; // of the cells with a value
const MAX_SAMPLE = 100_000; // float32 values to sort; to sort a million takes ten times as long

/**
 * The range of values that colors span at first.
 *
 * It ends at the 99th percentile of the cells with a value, so that a few high cells do not make
 * all others look the same; if that is 0, at the 99th percentile of the cells that are not 0. It
 * starts at the 1st percentile if there are negative values, else at the lowest value.
 *
 * @param {ContinuousColumn} column
 * @returns {[low: number, high: number]}
 */
export function findUsualRange(column) {
  const { lo, hi, codes, isEmpty } = column;
  if (isEmpty) return [lo, hi];
  const quantile = codes instanceof Float32Array ? quantileOfValues : quantileOfCodes;
  const low = lo < 0 ? quantile(column, LOW_SHARE, -Infinity) : lo;
  let high = quantile(column, HIGH_SHARE, -Infinity);
  if (lo === 0 && high === 0 && hi > 0) high = quantile(column, HIGH_SHARE, 0);
  return high > low ? [low, high] : [lo, hi];
}

/**
 * A quantile of the codes that are greater than `above`, as a value.
 *
 * @param {ContinuousColumn} column
 * @param {number} share
 * @param {number} above
 */
function quantileOfCodes({ codes, missingCode, origin, step }, share, above) {
  const counts = countCodes(codes, missingCode, null);
  const first = Math.max(0, above + 1);
  let left = 0;
  for (let code = first; code < missingCode; code++) left += counts[code];
  left = Math.round(share * (left - 1)); // cells before the wanted one
  let code = first;
  while (left >= counts[code]) left -= counts[code++];
  return origin + code * step;
}

/**
 * A quantile of an even sample of the float32 values that are greater than `above`.
 *
 * @param {ContinuousColumn} column
 * @param {number} share
 * @param {number} above
 */
function quantileOfValues({ codes, missingCode }, share, above) {
  let n = 0;
  for (let i = 0; i < codes.length; i++) if (codes[i] > above && codes[i] < missingCode) n++;
  const stride = Math.ceil(n / MAX_SAMPLE);
  const sample = new Float32Array(Math.ceil(n / stride));
  for (let i = 0, seen = 0, end = 0; end < sample.length; i++) {
    if (!(codes[i] > above && codes[i] < missingCode)) continue;
    if (seen++ % stride === 0) sample[end++] = codes[i];
  }
  return sample.sort()[Math.round(share * (sample.length - 1))];
}
