// Composition: how many cells of each category of one column have each category of another.

import { quoteField } from "../data/cells-csv.js";

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
  const chosen = chooseSplits(splitColumn, mask);
  const { own, nSplits } = chosen;
  const barOfCode = indexCodes(barColumn, [...barColumn.categories.keys()]);
  const table = countPairs(
    [barColumn.codes, barOfCode.map((bar) => bar * nSplits)],
    [splitColumn.codes, indexCodes(splitColumn, own)],
    mask, barColumn.categories.length * nSplits);
  const bars = barColumn.categories.map(({ name }, bar) =>
    ({ name, counts: table.subarray(bar * nSplits, (bar + 1) * nSplits) }));
  return sumUp(bars, splitColumn, chosen);
}

/**
 * Counts the cells of sets that may overlap, a bar for each; those of a mask, null for all cells.
 *
 * @param {{name: string, mask: Uint8Array}[]} sets
 * @param {CategoricalColumn} splitColumn
 * @param {Uint8Array | null} mask
 * @returns {Composition} its number of cells is that of all bars; a cell counts in each of its sets
 */
export function countSets(sets, splitColumn, mask) {
  const { codes } = splitColumn;
  const any = new Uint8Array(codes.length);
  const masks = sets.map((set) => set.mask.map((isIn, i) => isIn & (mask ? mask[i] : 1)));
  for (const each of masks) for (let i = 0; i < any.length; i++) any[i] |= each[i];
  const chosen = chooseSplits(splitColumn, any);
  const splitOfCode = indexCodes(splitColumn, chosen.own);
  const bars = sets.map(({ name }, set) => {
    const counts = new Uint32Array(chosen.nSplits);
    const inSet = masks[set];
    for (let i = 0; i < inSet.length; i++) counts[splitOfCode[codes[i]]] += inSet[i];
    return { name, counts };
  });
  return sumUp(bars, splitColumn, chosen);
}

/**
 * The composition of bars, with their totals and those of the splits.
 *
 * @param {{name: string, counts: Uint32Array}[]} counted
 * @param {CategoricalColumn} splitColumn
 * @param {ReturnType<typeof chooseSplits>} chosen
 * @returns {Composition}
 */
function sumUp(counted, splitColumn, { own, nOthers, nSplits }) {
  const totals = new Uint32Array(nSplits);
  const bars = counted.map(({ name, counts }) => {
    let total = 0;
    counts.forEach((n, split) => {
      total += n;
      totals[split] += n;
    });
    return { name, total, counts };
  }).filter(({ total }) => total);
  /** @type {Split[]} */
  const splits = own.map((category, split) =>
    ({ ...nameAndCode(splitColumn, category), total: totals[split] }));
  if (nSplits > own.length) {
    splits.push({ name: `${nOthers} others`, code: null, total: totals[nSplits - 1] });
  }
  return withoutEmptySplits({ bars, splits, nCells: totals.reduce((sum, n) => sum + n, 0) });
}

/**
 * A table of counts; where a pair is in it, is the sum of what its two codes are mapped to.
 *
 * @param {[import("../data/columns.js").Codes, Uint32Array]} rows codes of cells, and their places
 * @param {[import("../data/columns.js").Codes, Uint32Array]} columns
 * @param {Uint8Array | null} mask
 * @param {number} size
 */
function countPairs([rowCodes, rowOfCode], [columnCodes, columnOfCode], mask, size) {
  const table = new Uint32Array(size);
  const n = rowCodes.length;
  if (!mask) {
    for (let i = 0; i < n; i++) table[rowOfCode[rowCodes[i]] + columnOfCode[columnCodes[i]]]++;
    return table;
  }
  for (let i = 0; i < n; i++) {
    table[rowOfCode[rowCodes[i]] + columnOfCode[columnCodes[i]]] += mask[i];
  }
  return table;
}

/**
 * Place in `indices` of the category of every code; that after the last one for other categories.
 * Codes without a category are missing, the last category.
 *
 * @param {CategoricalColumn} column
 * @param {number[]} indices of categories
 */
function indexCodes({ categories, missingCode }, indices) {
  const places = new Uint32Array(categories.length).fill(indices.length);
  indices.forEach((category, place) => {
    places[category] = place;
  });
  const ofCode = new Uint32Array(missingCode + 1).fill(places.at(-1));
  categories.forEach(({ code }, category) => {
    ofCode[code] = places[category];
  });
  return ofCode;
}

/**
 * Indices of the categories that have parts of their own: all, or of too many the largest. How many
 * others have cells, and how many splits there are with one for all others.
 *
 * @param {CategoricalColumn} column
 * @param {Uint8Array | null} mask
 */
function chooseSplits(column, mask) {
  const all = [...column.categories.keys()];
  if (all.length <= MAX_SPLITS) return { own: all, nOthers: 0, nSplits: all.length };
  const { codes } = column;
  const places = indexCodes(column, all);
  const totals = new Uint32Array(all.length);
  for (let i = 0; i < codes.length; i++) totals[places[codes[i]]] += mask ? mask[i] : 1;
  const present = all.filter((category) => totals[category]);
  const largest = present.sort((a, b) => totals[b] - totals[a]).slice(0, MAX_SPLITS - 1);
  return {
    own: largest.sort((a, b) => a - b),
    nOthers: present.length - largest.length,
    nSplits: largest.length + 1,
  };
}

/**
 * @param {CategoricalColumn} column
 * @param {number} category index
 */
function nameAndCode({ categories }, category) {
  const { name, code } = categories[category];
  return { name, code };
}

/**
 * @param {Composition} composition
 * @returns {Composition}
 */
function withoutEmptySplits({ bars, splits, nCells }) {
  const shown = [...splits.keys()].filter((split) => splits[split].total);
  if (shown.length === splits.length) return { bars, splits, nCells };
  return {
    bars: bars.map(({ counts, ...bar }) =>
      ({ ...bar, counts: Uint32Array.from(shown, (split) => counts[split]) })),
    splits: shown.map((split) => splits[split]),
    nCells,
  };
}

/**
 * The bars in an order: "file", "name", "count" (most cells first), or "share:CODE" (largest share of
 * that split first).
 *
 * @param {Composition} composition
 * @param {string} order
 * @param {boolean} [isReversed] the last bar first
 */
export function sortBars(composition, order, isReversed = false) {
  const sorted = sortForward(composition, order);
  return isReversed ? [...sorted].reverse() : sorted;
}

/**
 * @param {Composition} composition
 * @param {string} order
 * @returns {Bar[]}
 */
function sortForward({ bars, splits }, order) {
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
  const names = splits.map(({ name }) => quoteField(name));
  const lines = ["bar,split,count,share"];
  for (const { name, total, counts } of bars) {
    const bar = quoteField(name);
    counts.forEach((n, split) => {
      if (n || hasAll) lines.push(`${bar},${names[split]},${n},${Number((n / total).toPrecision(6))}`);
    });
  }
  return `${lines.join("\n")}\n`;
}

/**
 * Whether the category of a cell in one of the columns says that in the other one, as a cell type
 * says its lineage; cells without a category do not count.
 *
 * @param {CategoricalColumn} a
 * @param {CategoricalColumn} b
 */
export const isDetermined = (a, b) => determines(a, b) || determines(b, a);

/**
 * @param {CategoricalColumn} a
 * @param {CategoricalColumn} b
 */
function determines(a, b) {
  const found = new Int32Array(a.names.length).fill(-1);
  for (let i = 0; i < a.codes.length; i++) {
    const [from, to] = [a.codes[i], b.codes[i]];
    if (from >= a.names.length || to >= b.names.length) continue;
    if (found[from] < 0) found[from] = to;
    else if (found[from] !== to) return false;
  }
  return true;
}
