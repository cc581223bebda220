// Composition: how many cells of each category of one column have each category of another.

/** @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn */
/**
 * @typedef {{name: string, code: number | null, total: number}} Split a category, with its cells in
 *   all bars; without a code: all categories that have no part of their own
 * @typedef {{name: string, total: number, counts: Uint32Array}} Bar counts: cells of each split
 * @typedef {{bars: Bar[], splits: Split[], nCells: number}} Composition only what has cells
 */

const MAX_SPLITS = 254; // with 65,000 bars, the table of counts then has 66 MB at most
const MAX_CSV_ROWS = 1_000_000; // with pairs that have no cells
const collator = new Intl.Collator("en", { numeric: true });

/**
 * Counts the cells of a mask; null for all cells.
 *
 * @param {CategoricalColumn} barColumn
 * @param {CategoricalColumn} splitColumn
 * @param {Uint8Array | null} mask
 * @returns {Composition}
 */
export function countComposition(barColumn, splitColumn, mask) {
  const { splits, indexOfCode: splitOfCode } = chooseSplits(splitColumn, mask);
  const barOfCode = indexCategories(barColumn);
  const nSplits = splits.length;
  const counts = new Uint32Array(barColumn.categories.length * nSplits);
  const [barCodes, splitCodes] = [barColumn.codes, splitColumn.codes];
  for (let i = 0; i < barCodes.length; i++) {
    if (mask && !mask[i]) continue;
    counts[barOfCode[barCodes[i]] * nSplits + splitOfCode[splitCodes[i]]]++;
  }
  const bars = barColumn.categories.map(({ name }, bar) => {
    const ofBar = counts.subarray(bar * nSplits, (bar + 1) * nSplits);
    return { name, total: ofBar.reduce((sum, n) => sum + n, 0), counts: ofBar };
  }).filter(({ total }) => total);
  return { bars, splits, nCells: splits.reduce((sum, { total }) => sum + total, 0) };
}

/**
 * Index of the category of every code; codes without a category are missing, the last one.
 *
 * @param {CategoricalColumn} column
 */
function indexCategories({ categories, missingCode }) {
  const indices = new Uint32Array(missingCode + 1).fill(categories.length - 1);
  categories.forEach(({ code }, index) => {
    indices[code] = index;
  });
  return indices;
}

/**
 * The categories that have cells; of too many, the largest, and one for all others.
 *
 * @param {CategoricalColumn} column
 * @param {Uint8Array | null} mask
 */
function chooseSplits(column, mask) {
  const { categories, codes } = column;
  const indexOfCode = indexCategories(column);
  const totals = new Uint32Array(categories.length);
  for (let i = 0; i < codes.length; i++) if (!mask || mask[i]) totals[indexOfCode[codes[i]]]++;
  let present = [...categories.keys()].filter((index) => totals[index]);
  /** @type {Split[]} */
  const others = [];
  if (present.length > MAX_SPLITS) {
    const bySize = [...present].sort((a, b) => totals[b] - totals[a]);
    const left = bySize.slice(MAX_SPLITS - 1);
    const total = left.reduce((sum, index) => sum + totals[index], 0);
    others.push({ name: `${left.length} others`, code: null, total });
    present = bySize.slice(0, MAX_SPLITS - 1).sort((a, b) => a - b);
  }
  const indexOfCategory = new Uint32Array(categories.length).fill(present.length); // of the others
  present.forEach((category, index) => {
    indexOfCategory[category] = index;
  });
  const splits = present.map((index) =>
    ({ name: categories[index].name, code: categories[index].code, total: totals[index] }));
  return {
    splits: [...splits, ...others],
    indexOfCode: indexOfCode.map((category) => indexOfCategory[category]),
  };
}

/**
 * The bars in an order: "file", "name", "count" (most cells first), or "share:CODE" (largest share of
 * that split first).
 *
 * @param {Composition} composition
 * @param {string} order
 * @returns {Bar[]}
 */
export function sortBars({ bars, splits }, order) {
  const split = splits.findIndex(({ code }) => order === `share:${code}`);
  if (split >= 0) {
    const share = (/** @type {Bar} */ { counts, total }) => counts[split] / total;
    return [...bars].sort((a, b) => share(b) - share(a));
  }
  if (order === "name") return [...bars].sort((a, b) => collator.compare(a.name, b.name));
  return order === "count" ? [...bars].sort((a, b) => b.total - a.total) : bars;
}

/**
 * A table with a line for each bar and split: bar, split, count, share of the bar. A table that would
 * be too long has no lines for pairs without cells.
 *
 * @param {Composition} composition
 */
export function formatComposition({ bars, splits }) {
  const hasAll = bars.length * splits.length <= MAX_CSV_ROWS;
  const names = splits.map(({ name }) => quote(name));
  const lines = ["bar,split,count,share"];
  for (const { name, total, counts } of bars) {
    const bar = quote(name);
    counts.forEach((n, split) => {
      if (n || hasAll) lines.push(`${bar},${names[split]},${n},${Number((n / total).toPrecision(6))}`);
    });
  }
  return `${lines.join("\n")}\n`;
}

/** @param {string} text a field of a CSV file */
const quote = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
