// Filters: which cells the user wants to look at. A cell is visible if it passes all filters that
// are on. Filters are plain values that never change; an edit makes a new list.

/**
 * @typedef {{kind: "categories", column: string, codes: number[], keep: boolean, on: boolean}}
 *   CategoriesFilter cells of these categories pass, or with `keep` false all others
 * @typedef {{kind: "range", column: string, from: number | null, to: number | null, on: boolean}}
 *   RangeFilter cells with a value from `from` to `to` pass; null is no limit
 * @typedef {{kind: "outliers", column: string, quantile: number, on: boolean}}
 *   OutliersFilter cells up to this outlier quantile of their category, or without one, pass
 * @typedef {{kind: "selection", lassos: Lasso[], keep: boolean, on: boolean}}
 *   SelectionFilter cells inside any outline pass, or with `keep` false all others
 * @typedef {{kind: "group", group: string, keep: boolean, on: boolean}}
 *   GroupFilter cells of the group with this id pass, or with `keep` false all others
 * @typedef {CategoriesFilter | RangeFilter | OutliersFilter | SelectionFilter | GroupFilter} Filter
 * @typedef {{d: number, embedding: string, yaw: number, pitch: number,
 *   outline: [number, number][]}} Lasso an outline in plane coordinates
 */

/**
 * The codes that a column's filters hide, of those in `allCodes`.
 *
 * @param {Filter[]} filters
 * @param {string} column
 * @param {number[]} allCodes
 * @returns {Set<number>}
 */
export function hiddenCodes(filters, column, allCodes) {
  const hidden = new Set();
  for (const filter of filters) {
    if (filter.kind !== "categories" || filter.column !== column || !filter.on) continue;
    const codes = new Set(filter.codes);
    allCodes.forEach((code) => codes.has(code) !== filter.keep && hidden.add(code));
  }
  return hidden;
}

/**
 * Hides exactly these codes of a column: with one filter, that lists what is fewer.
 *
 * @param {Filter[]} filters
 * @param {string} column
 * @param {Set<number>} hidden
 * @param {number[]} allCodes
 * @returns {Filter[]}
 */
export function setHiddenCodes(filters, column, hidden, allCodes) {
  const isOfColumn = isFilterOf("categories", column);
  if (!hidden.size) return filters.filter((filter) => !isOfColumn(filter));
  const keep = 2 * hidden.size > allCodes.length && hidden.size < allCodes.length;
  const codes = allCodes.filter((code) => hidden.has(code) !== keep);
  return setFilter(filters, isOfColumn, { kind: "categories", column, codes, keep, on: true });
}

/**
 * Hides the cells of a column above an outlier quantile; 1 hides none.
 *
 * @param {Filter[]} filters
 * @param {string} column
 * @param {number} quantile
 * @returns {Filter[]}
 */
export function setOutlierQuantile(filters, column, quantile) {
  const isOfColumn = isFilterOf("outliers", column);
  if (quantile >= 1) return filters.filter((filter) => !isOfColumn(filter));
  return setFilter(filters, isOfColumn, { kind: "outliers", column, quantile, on: true });
}

/**
 * The outlier quantile of a column's filter; 1 without one.
 *
 * @param {Filter[]} filters
 * @param {string} column
 * @returns {number}
 */
export function outlierQuantile(filters, column) {
  for (const filter of filters) {
    if (filter.kind === "outliers" && filter.column === column && filter.on) return filter.quantile;
  }
  return 1;
}

/**
 * The column that a filter is about; null for one that is about cells.
 *
 * @param {Filter} filter
 * @returns {string | null}
 */
export const columnOfFilter = (filter) => ("column" in filter ? filter.column : null);

/**
 * Lets only values of a column from `from` to `to` pass; null for no limit.
 *
 * @param {Filter[]} filters
 * @param {string} column
 * @param {number | null} from
 * @param {number | null} to
 * @returns {Filter[]}
 */
export function setRange(filters, column, from, to) {
  const isOfColumn = isFilterOf("range", column);
  if (from === null && to === null) return filters.filter((filter) => !isOfColumn(filter));
  return setFilter(filters, isOfColumn, { kind: "range", column, from, to, on: true });
}

/**
 * @param {Filter["kind"]} kind
 * @param {string} column
 * @returns {(filter: Filter) => boolean}
 */
const isFilterOf = (kind, column) => (filter) =>
  filter.kind === kind && columnOfFilter(filter) === column;

/**
 * Puts `filter` in the place of the one that `isReplaced` finds, else at the end.
 *
 * @param {Filter[]} filters
 * @param {(filter: Filter) => boolean} isReplaced
 * @param {Filter} filter
 * @returns {Filter[]}
 */
function setFilter(filters, isReplaced, filter) {
  const at = filters.findIndex(isReplaced);
  if (at < 0) return [...filters, filter];
  return [...filters.slice(0, at), filter,
    ...filters.slice(at + 1).filter((other) => !isReplaced(other))];
}

/**
 * The same filters with the one at `index` changed.
 *
 * @param {Filter[]} filters
 * @param {number} index
 * @param {object} change parts of a filter of this kind
 * @returns {Filter[]}
 */
export const changeFilter = (filters, index, change) =>
  filters.map((filter, i) => (i === index ? { ...filter, ...change } : filter));

/**
 * The same filters without the one at `index`.
 *
 * @param {Filter[]} filters
 * @param {number} index
 * @returns {Filter[]}
 */
export const dropFilter = (filters, index) => filters.filter((_, i) => i !== index);
