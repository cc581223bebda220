// Masks: which cells pass a filter or are in a group, as a byte per cell.

import { cellsOfGroup } from "./groups.js";
import { maskInside } from "../plot/projection.js";

/** @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn */
/** @typedef {import("../data/columns.js").Codes} Codes */
/** @typedef {import("../data/columns.js").Column} Column */
/** @typedef {import("../data/columns.js").ContinuousColumn} ContinuousColumn */
/** @typedef {import("../data/columns.js").OutlierQuantiles} OutlierQuantiles */
/** @typedef {import("./filters.js").Filter} Filter */
/** @typedef {import("./groups.js").Expression} Expression */
/** @typedef {import("./groups.js").Group} Group */
/**
 * What filters ask about; all of it is loaded before.
 *
 * @typedef {object} Sources
 * @property {number} nCells
 * @property {Group[]} groups
 * @property {(columnId: string) => Column} column
 * @property {(columnId: string) => OutlierQuantiles} outliers
 * @property {(lasso: {d: number, embedding: string}) => Float32Array} points as drawn
 * @property {WeakMap<import("./filters.js").Lasso[], Uint8Array>} lassoMasks the cells inside
 *   outlines: these take long to test, and never change
 */

/**
 * Calls `visit` for every filter in the expressions, also in those of groups that filters name.
 *
 * @param {Expression[]} expressions
 * @param {Group[]} groups
 * @param {(filter: Filter) => void} visit
 */
export function forEachFilter(expressions, groups, visit) {
  for (const expression of expressions) {
    if ("rows" in expression) continue;
    if ("not" in expression) forEachFilter([expression.not], groups, visit);
    else if ("all" in expression) forEachFilter(expression.all, groups, visit);
    else if ("any" in expression) forEachFilter(expression.any, groups, visit);
    else if (expression.kind === "group") {
      forEachFilter([cellsOfGroup(expression.group, groups)], groups, visit);
    } else visit(expression);
  }
}

/**
 * The cells that pass all filters that are on; null if there is no such filter.
 *
 * @param {Filter[]} filters
 * @param {Sources} sources
 * @returns {Uint8Array | null}
 */
export function createFilterMask(filters, sources) {
  const on = filters.filter((filter) => filter.on);
  return on.length ? createMask({ all: on }, sources) : null;
}

/**
 * The cells of an expression: a byte per cell, 1 or 0.
 *
 * @param {Expression} expression
 * @param {Sources} sources
 * @returns {Uint8Array}
 */
export function createMask(expression, sources) {
  const mask = new Uint8Array(sources.nCells).fill(1);
  restrict(mask, expression, sources);
  return mask;
}

/**
 * Number of ones in a mask.
 *
 * @param {Uint8Array} mask
 */
export function countOnes(mask) {
  let n = 0;
  for (let i = 0; i < mask.length; i++) n += mask[i];
  return n;
}

/**
 * Sets the bytes of cells to 0 that are not in the expression.
 *
 * @param {Uint8Array} mask
 * @param {Expression} expression
 * @param {Sources} sources
 */
function restrict(mask, expression, sources) {
  if ("all" in expression) expression.all.forEach((part) => restrict(mask, part, sources));
  else if ("any" in expression) {
    const any = new Uint8Array(mask.length);
    for (const part of expression.any) uniteInto(any, createMask(part, sources));
    intersectInto(mask, any, true);
  } else if ("not" in expression) {
    intersectInto(mask, createMask(expression.not, sources), false);
  } else if ("rows" in expression) restrictToRows(mask, expression.rows);
  else {
    /** @type {(mask: Uint8Array, filter: any, sources: Sources) => void} */
    const restrictByFilter = RESTRICT[expression.kind];
    restrictByFilter(mask, expression, sources);
  }
}

/**
 * @type {{[Kind in Filter["kind"]]:
 *   (mask: Uint8Array, filter: Extract<Filter, {kind: Kind}>, sources: Sources) => void}}
 */
const RESTRICT = {
  categories: (mask, { column: id, codes, keep }, sources) => {
    const column = /** @type {CategoricalColumn} */ (sources.column(id));
    const passes = new Uint8Array(column.missingCode + 1).fill(Number(!keep));
    for (const code of codes) if (code < passes.length) passes[code] = Number(keep);
    passes.fill(passes[column.missingCode], column.names.length); // codes without a category
    restrictByTable(mask, column.codes, passes);
  },
  range: (mask, { column: id, from, to }, sources) => {
    const column = /** @type {ContinuousColumn} */ (sources.column(id));
    const [low, high] = [from ?? -Infinity, to ?? Infinity];
    if (column.codes instanceof Float32Array) {
      restrictValues(mask, column, Math.fround(low), Math.fround(high));
    } else restrictByTable(mask, column.codes, column.passingCodes(low, high));
  },
  outliers: (mask, { column: id, quantile }, sources) => {
    const outliers = sources.outliers(id);
    const { codes, missingCode } = outliers;
    const limit = outliers.maxVisibleCode(quantile);
    for (let i = 0; i < mask.length; i++) {
      if (codes[i] > limit && codes[i] < missingCode) mask[i] = 0;
    }
  },
  selection: (mask, { lassos, keep }, sources) =>
    intersectInto(mask, createLassoMask(lassos, sources), keep),
  group: (mask, { group: id, keep }, sources) => {
    const cells = cellsOfGroup(id, sources.groups);
    intersectInto(mask, createMask(cells, sources), keep);
  },
};

/**
 * The cells that the outlines add, one after the other, and later ones do not take out; the caller
 * must not change it.
 *
 * @param {import("./filters.js").Lasso[]} lassos
 * @param {Sources} sources
 * @returns {Uint8Array}
 */
export function createLassoMask(lassos, sources) {
  const known = sources.lassoMasks.get(lassos);
  if (known) return known;
  const mask = new Uint8Array(sources.nCells);
  for (const lasso of lassos) {
    const width = Math.max(2, lasso.d);
    const value = Number(!lasso.removes);
    maskInside(sources.points(lasso), width, lasso, lasso.outline, mask, value);
  }
  sources.lassoMasks.set(lassos, mask);
  return mask;
}

/**
 * @param {Uint8Array} mask
 * @param {Codes} codes integers
 * @param {Uint8Array} passes by code
 */
function restrictByTable(mask, codes, passes) {
  for (let i = 0; i < mask.length; i++) mask[i] &= passes[codes[i]];
}

/**
 * @param {Uint8Array} mask
 * @param {ContinuousColumn} column of float32 values
 * @param {number} low
 * @param {number} high
 */
function restrictValues(mask, { codes, missingCode }, low, high) {
  for (let i = 0; i < mask.length; i++) {
    const value = codes[i];
    if (!(value >= low && value <= high && value < missingCode)) mask[i] = 0;
  }
}

/**
 * @param {Uint8Array} mask
 * @param {[number, number][]} rows
 */
function restrictToRows(mask, rows) {
  let end = 0;
  for (const [first, last] of rows) {
    mask.fill(0, end, first);
    end = last + 1;
  }
  mask.fill(0, end);
}

/**
 * @param {Uint8Array} mask
 * @param {Uint8Array} other
 * @param {boolean} keep whether to keep the ones of `other`, or its zeros
 */
function intersectInto(mask, other, keep) {
  const flip = keep ? 0 : 1;
  for (let i = 0; i < mask.length; i++) mask[i] &= other[i] ^ flip;
}

/**
 * @param {Uint8Array} mask
 * @param {Uint8Array} other
 */
function uniteInto(mask, other) {
  for (let i = 0; i < mask.length; i++) mask[i] |= other[i];
}
