// Filters: which cells the user wants to look at. A cell is visible if it passes all filters that
// are on. Filters are plain values that never change; an edit makes a new list. The legend of a column
// shows and sets what is on: a filter that the user switched off stays as it is. So does the editor,
// except that it edits one that is off where none is on.

/**
 * @typedef {{kind: "categories", column: string, codes: number[], keep: boolean, on: boolean}}
 *   CategoriesFilter cells of these categories pass, or with `keep` false all others
 * @typedef {{kind: "range", column: string, from: number | null, to: number | null, on: boolean}}
 *   RangeFilter cells with a value from `from` to `to` pass; null is no limit
 * @typedef {{kind: "outliers", column: string, quantile: number, on: boolean}}
 *   OutliersFilter cells up to this outlier quantile of their category, or without one, pass
 * @typedef {{kind: "selection", lassos: Lasso[], keep: boolean, on: boolean}}
 *   SelectionFilter cells inside the outlines pass, or with `keep` false all others
 * @typedef {{kind: "group", group: string, keep: boolean, on: boolean}}
 *   GroupFilter cells of the group with this id pass, or with `keep` false all others
 * @typedef {CategoriesFilter | RangeFilter | OutliersFilter | SelectionFilter | GroupFilter} Filter
 * @typedef {{d: number, embedding: string, yaw: number, pitch: number,
 *   outline: [number, number][], removes?: boolean}} Lasso an outline in plane coordinates; whether
 *   it takes cells out of those of the outlines before it
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
  for (const filter of findOn(filters, "categories", column)) {
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
  if (!hidden.size) return setFilter(filters, "categories", column, null);
  const keep = 2 * hidden.size > allCodes.length && hidden.size < allCodes.length;
  const codes = allCodes.filter((code) => hidden.has(code) !== keep);
  return setFilter(filters, "categories", column, { kind: "categories", column, codes, keep, on: true });
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
  return setFilter(filters, "outliers", column,
    quantile < 1 ? { kind: "outliers", column, quantile, on: true } : null);
}

/**
 * The outlier quantile up to which cells pass a column's filters; 1 without one.
 *
 * @param {Filter[]} filters
 * @param {string} column
 * @returns {number}
 */
export const outlierQuantile = (filters, column) =>
  Math.min(1, ...findOn(filters, "outliers", column).map(({ quantile }) => quantile));

/**
 * The column that a filter is about; null for one that is about cells.
 *
 * @param {Filter} filter
 * @returns {string | null}
 */
export const columnOfFilter = (filter) => ("column" in filter ? filter.column : null);

/**
 * The limits between which values pass a column's filters; null for no limit.
 *
 * @param {Filter[]} filters
 * @param {string} column
 * @returns {[number | null, number | null]}
 */
export function rangeOf(filters, column) {
  const ranges = findOn(filters, "range", column);
  const from = Math.max(...ranges.map((range) => range.from ?? -Infinity));
  const to = Math.min(...ranges.map((range) => range.to ?? Infinity));
  return [from === -Infinity ? null : from, to === Infinity ? null : to];
}

/**
 * Lets only values of a column from `from` to `to` pass; null for no limit.
 *
 * @param {Filter[]} filters
 * @param {string} column
 * @param {number | null} from
 * @param {number | null} to
 * @returns {Filter[]}
 */
export const setRange = (filters, column, from, to) => setFilter(filters, "range", column,
  from === null && to === null ? null : { kind: "range", column, from, to, on: true });

/**
 * Whether a column has filters of a kind, none of which is on.
 *
 * @param {Filter[]} filters
 * @param {"categories" | "range"} kind
 * @param {string} column
 */
export const isLastOff = (filters, kind, column) =>
  filters.some((filter) => filter.kind === kind && columnOfFilter(filter) === column)
  && !findOn(filters, kind, column).length;

/**
 * The filters to edit: if none of a kind about a column is on, the last one of them is switched on.
 *
 * @param {Filter[]} filters
 * @param {"categories" | "range"} kind
 * @param {string} column
 * @returns {Filter[]}
 */
export function switchLastOn(filters, kind, column) {
  if (!isLastOff(filters, kind, column)) return filters;
  const last = filters.findLastIndex((filter) =>
    filter.kind === kind && columnOfFilter(filter) === column);
  return changeFilter(filters, last, { on: true });
}

/**
 * The filters of a kind that are on and about a column.
 *
 * @template {"categories" | "range" | "outliers"} Kind
 * @param {Filter[]} filters
 * @param {Kind} kind
 * @param {string} column
 */
const findOn = (filters, kind, column) =>
  /** @type {Extract<Filter, {kind: Kind}>[]} */ (filters.filter((filter) =>
    filter.on && filter.kind === kind && columnOfFilter(filter) === column));

/**
 * Puts `filter` in the place of those of a kind that are on and about a column, or at the end;
 * null for none.
 *
 * @param {Filter[]} filters
 * @param {"categories" | "range" | "outliers"} kind
 * @param {string} column
 * @param {Filter | null} filter
 * @returns {Filter[]}
 */
function setFilter(filters, kind, column, filter) {
  /** @type {Filter[]} */
  const replaced = findOn(filters, kind, column);
  const first = filters.findIndex((each) => replaced.includes(each));
  const at = first < 0 ? filters.length : first;
  const isOther = (/** @type {Filter} */ each) => !replaced.includes(each);
  return [...filters.slice(0, at), ...(filter ? [filter] : []),
    ...filters.slice(at).filter(isOther)];
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
