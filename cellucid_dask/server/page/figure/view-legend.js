// The legend of a figure of the view: what its colors mean, and how many visible cells have each.

import { countOnes } from "../ask/masks.js";
import { colormapStops } from "../color/colormaps.js";
import { categoryCssColor } from "../color/palette.js";
import { cssColor } from "../color/rgb.js";
import { hasOneColor } from "../color/value-range.js";
import { formatCount, formatNumber, showName } from "../dom.js";

/**
 * @param {object} shown
 * @param {any} shown.column that colors the cells
 * @param {{name: string, code: number}[]} shown.categories of it, in the order to list them
 * @param {Set<number>} shown.hidden codes that the legend of the page hides
 * @param {Uint8Array | null} shown.visible 1 for cells that pass all filters; null if all do
 * @param {import("../plot/renderer.js").Appearance} shown.appearance
 * @param {import("../link/link.js").View} shown.view
 * @param {Record<string, number[]>} shown.colors of the theme
 * @returns {import("./legend.js").Legend}
 */
export function createViewLegend({ column, categories, hidden, visible, appearance, view, colors }) {
  const counts = countCodes(column, visible);
  const nContext = visible && appearance.showsContext ? visible.length - countOnes(visible) : 0;
  const context = createRow("cells filtered out", nContext, cssColor(colors.context));
  if (column.isCategorical) {
    const shown = categories.filter(({ code }) => !hidden.has(code) && counts.byCode[code]);
    const rows = shown.map(({ name, code }) => ({
      name: showName(name),
      color: categoryCssColor(column, code, view.colors) ?? cssColor(colors.missing),
      count: formatCount(counts.byCode[code]),
    }));
    return { title: column.key, bar: null, rows: [...rows, ...context] };
  }
  const stops = colormapStops(view.map, colors.canvas);
  const isOneColor = hasOneColor(column, view);
  return {
    title: column.key,
    bar: column.isEmpty || isOneColor ? null : createColorBar(column, stops, appearance),
    rows: [
      ...createRow(`cells at ${formatNumber(column.lo)}`, isOneColor ? counts.nOthers : 0, stops[0][1]),
      ...createRow("cells at 0", counts.nZeros, cssColor(colors.zero)),
      ...createRow("cells without a value", counts.nMissing, cssColor(colors.missing)),
      ...context,
    ],
  };
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
 * How many visible cells have each code of a categorical column; no value, 0 or another in values.
 *
 * @param {any} column
 * @param {Uint8Array | null} visible
 */
function countCodes({ codes, missingCode, isCategorical, names, zeroCode }, visible) {
  const byCode = new Uint32Array(isCategorical ? missingCode + 1 : 0);
  let [nMissing, nZeros, nOthers] = [0, 0, 0];
  for (let i = 0; i < codes.length; i++) {
    if (visible && !visible[i]) continue;
    const code = codes[i];
    if (isCategorical) byCode[code < names.length ? code : missingCode]++;
    else if (code >= missingCode) nMissing++;
    else if (code === zeroCode) nZeros++;
    else nOthers++;
  }
  return { byCode, nMissing, nZeros, nOthers };
}
