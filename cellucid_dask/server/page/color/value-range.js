// Which values the colors of a column span.

import { isDiverging } from "./colormaps.js";

/** @typedef {import("../data/columns.js").ContinuousColumn} ContinuousColumn */

/**
 * The range of the view, else that which shows most cells; with 0 in the middle of a diverging map.
 *
 * @param {ContinuousColumn} column
 * @param {{ range: [number, number] | number[] | null, map: string, log: boolean }} view
 * @returns {[low: number, high: number]}
 */
export function shownRange(column, { range, map, log }) {
  if (range) return [range[0], range[1]];
  const [low, high] = column.usualRange;
  const isAroundZero = isDiverging(map) && column.lo < 0 && column.hi > 0;
  if (!isAroundZero || log) return [low, high];
  const end = Math.max(-low, high);
  return [-end, end];
}

/**
 * Whether all values are the same: they have one color, the lowest, and there is no scale.
 *
 * @param {ContinuousColumn} column
 * @param {{ range: [number, number] | number[] | null, map: string, log: boolean }} view
 */
export function hasOneColor(column, view) {
  const [low, high] = shownRange(column, view);
  return column.lo === column.hi && low === high;
}
