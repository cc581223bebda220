// The legend of a figure of the view: what its colors mean, and how many visible cells have each.

import { countOnes } from "../ask/masks.js";
import { colormapStops } from "../color/colormaps.js";
import { categoryCssColor } from "../color/palette.js";
import { cssColor, mixRgb } from "../color/rgb.js";
import { hasOneColor } from "../color/value-range.js";
import { countCodes } from "../data/code-counts.js";
import { CategoricalColumn } from "../data/columns.js";
import { countPositions } from "../data/value-bins.js";
import { formatCount, formatNumber, showName } from "../dom.js";
import { FADED_SHARE } from "../plot/shaders.js";

/** @typedef {import("../data/columns.js").Column} Column */

/**
 * @param {object} shown
 * @param {Column} shown.column that colors the cells
 * @param {{name: string, code: number}[]} shown.categories of it, in the order to list them
 * @param {Set<number>} shown.hidden codes that the legend of the page hides
 * @param {Uint8Array | null} shown.visible 1 for cells that pass all filters; null if all do
 * @param {Uint8Array | null} shown.selectionMask 1 for selected cells; null without a selection
 * @param {import("../plot/renderer.js").Appearance} shown.appearance
 * @param {import("../link/link.js").View} shown.view
 * @param {Record<string, number[]>} shown.colors of the theme
 * @returns {import("./legend.js").Legend}
 */
export function createViewLegend(
  { column, categories, hidden, visible, selectionMask, appearance, view, colors }) {
  const nContext = visible && appearance.showsContext ? visible.length - countOnes(visible) : 0;
  const others = [
    ...(selectionMask ? createPaleRow(countUnselected(selectionMask, visible), colors) : []),
    ...createRow("cells filtered out", nContext, cssColor(colors.context)),
  ];
  if (column instanceof CategoricalColumn) {
    const counts = countCategories(column, visible);
    const shown = categories.filter(({ code }) => !hidden.has(code) && counts[code]);
    const rows = shown.map(({ name, code }) => ({
      name: showName(name),
      color: categoryCssColor(column, code, view.colors) ?? cssColor(colors.missing),
      count: formatCount(counts[code]),
    }));
    return { title: column.key, bar: null, rows: [...rows, ...others] };
  }
  const stops = colormapStops(view.map, colors.canvas);
  const { counts, nZeros, nMissing } = countPositions(column, 1, visible, () => 0);
  const isOneColor = hasOneColor(column, view);
  return {
    title: column.key,
    bar: column.isEmpty || isOneColor ? null : createColorBar(column, stops, appearance),
    rows: [
      ...createRow(`cells at ${formatNumber(column.lo)}`, isOneColor ? counts[0] : 0, stops[0][1]),
      ...createRow("cells at 0", nZeros, cssColor(colors.zero)),
      ...createRow("cells without a value", nMissing, cssColor(colors.missing)),
      ...others,
    ],
  };
}

/**
 * A row for cells that are not selected: each has a paler shade of its own color.
 *
 * @param {number} n
 * @param {Record<string, number[]>} colors of the theme
 */
const createPaleRow = (n, { canvas, cells }) =>
  createRow("paler: not selected", n, cssColor(mixRgb(canvas, cells, FADED_SHARE)));

/**
 * Number of visible cells that are not selected.
 *
 * @param {Uint8Array} selectionMask
 * @param {Uint8Array | null} visible
 */
function countUnselected(selectionMask, visible) {
  let n = 0;
  for (let i = 0; i < selectionMask.length; i++) {
    if (!selectionMask[i] && (!visible || visible[i])) n++;
  }
  return n;
}

/**
 * The ends of the colors; values beyond an end have its color.
 *
 * @param {import("../data/columns.js").ContinuousColumn} column
 * @param {[offset: number, color: string][]} stops
 * @param {import("../plot/renderer.js").Appearance} appearance
 */
function createColorBar(column, stops, { range, useLog: log }) {
  const [lo, hi] = range.map((end) => column.fromScale(end, log));
  const tolerance = 1e-6 * (column.hi - column.lo); // of numbers on their way to a logarithm and back
  const low = `${column.lo < lo - tolerance ? "≤ " : ""}${formatNumber(lo)}`;
  const high = `${column.hi > hi + tolerance ? "≥ " : ""}${formatNumber(hi)}`;
  return { stops, low, high, log };
}

/**
 * A row for cells that are not of a category; none without such cells.
 *
 * @param {string} name
 * @param {number} n
 * @param {string} color
 */
const createRow = (name, n, color) => (n ? [{ name, color, count: formatCount(n) }] : []);

/**
 * Number of visible cells of each code; a code without a category counts as a missing one.
 *
 * @param {CategoricalColumn} column
 * @param {Uint8Array | null} visible
 */
function countCategories({ codes, missingCode, names }, visible) {
  const counts = countCodes(codes, missingCode, visible);
  for (let code = names.length; code < missingCode; code++) counts[missingCode] += counts[code];
  return counts;
}
