// The legend of a figure of the view: what its colors mean, and how many visible cells have each.

import { categoryCssColor } from "../color/palette.js";
import { cssColor } from "../color/rgb.js";
import { formatCount } from "../dom.js";

/**
 * @param {object} shown
 * @param {any} shown.column that colors the cells
 * @param {Set<number>} shown.hidden codes that the legend of the page hides
 * @param {Uint8Array | null} shown.visible 1 for cells that pass all filters; null if all do
 * @param {import("../plot/renderer.js").Appearance} shown.appearance
 * @param {import("../link/link.js").View} shown.view
 * @param {Record<string, number[]>} shown.colors of the theme
 * @returns {import("./legend.js").Legend}
 */
export function createViewLegend({ column, hidden, visible, appearance, view, colors }) {
  const missing = cssColor(colors.missing);
  const counts = countCodes(column, visible);
  const context = createContextRow(visible, appearance, cssColor(colors.context));
  if (column.isCategorical) {
    /** @type {{name: string, code: number}[]} */
    const categories = column.categories;
    const shown = categories.filter(({ code }) => !hidden.has(code) && counts.byCode[code]);
    const rows = shown.map(({ name, code }) => ({
      name,
      color: categoryCssColor(column, code, view.colors) ?? missing,
      count: formatCount(counts.byCode[code]),
    }));
    return { title: column.key, bar: null, rows: [...rows, ...context] };
  }
  const { range: [low, high], useLog: log } = appearance;
  const [lo, hi] = [low, high].map((end) => column.fromScale(end, log));
  const row = { name: "without a value", color: missing, count: formatCount(counts.nMissing) };
  return {
    title: column.key,
    bar: column.isEmpty ? null : { map: view.map, lo, hi, log },
    rows: [...(counts.nMissing ? [row] : []), ...context],
  };
}

/**
 * How many visible cells have each code of a categorical column, or no value in another one.
 *
 * @param {any} column
 * @param {Uint8Array | null} visible
 */
function countCodes({ codes, missingCode, isCategorical, names }, visible) {
  const byCode = new Uint32Array(isCategorical ? missingCode + 1 : 0);
  let nMissing = 0;
  for (let i = 0; i < codes.length; i++) {
    if (visible && !visible[i]) continue;
    if (!isCategorical) nMissing += Number(codes[i] >= missingCode);
    else byCode[codes[i] < names.length ? codes[i] : missingCode]++;
  }
  return { byCode, nMissing };
}

/**
 * The row of the cells that are filtered out, if they are drawn.
 *
 * @param {Uint8Array | null} visible
 * @param {import("../plot/renderer.js").Appearance} appearance
 * @param {string} color
 */
function createContextRow(visible, { showsContext }, color) {
  if (!visible || !showsContext) return [];
  let n = 0;
  for (let i = 0; i < visible.length; i++) n += 1 - visible[i];
  return n ? [{ name: "filtered out", color, count: formatCount(n) }] : [];
}
