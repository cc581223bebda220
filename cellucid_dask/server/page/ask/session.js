// Sessions: the view and its groups as a file, for what a link cannot hold.

import { splitColumnId } from "../data/column-id.js";
import { cutMiddle } from "../dom.js";
import { formatView, parseView } from "../link/link.js";
import { createMask } from "./masks.js";

const FORMAT = "cellucid-session";
const VERSION = 1;
const MAX_NAMES = 3; // of categories in a message
const MAX_LENGTH = 40; // characters of each

/** @typedef {import("../link/link.js").View} View */
/**
 * @typedef {Map<string, {names: string[], missingCode: number}>} Categories of the columns, by id
 * @typedef {Record<string, string | null>} CategoryNames names by code; null is that of missing,
 *   because a category may have any text as its name
 */

/**
 * @typedef {{id: string, n_cells: number, hash: string, ids_hash?: string}} SessionDataset `hash` is of
 *   some ids, `ids_hash` of all: older sessions do not have it, and datasets without ids
 * @typedef {{format: string, version: number, dataset: SessionDataset,
 *   view: string, categories: Record<string, CategoryNames>,
 *   groups: {id: string, name: string, color: string, rows: [number, number][]}[]}} Session
 *   `view` is the text of a link, `categories` has the names of the codes in it, by column
 *   id; rows are ranges, first and last, counted from 0
 */

/**
 * The ranges of rows whose byte is 1.
 *
 * @param {Uint8Array} mask
 * @returns {[number, number][]}
 */
export function rowsOfMask(mask) {
  /** @type {[number, number][]} */
  const rows = [];
  for (let i = mask.indexOf(1); i >= 0;) {
    const end = mask.indexOf(0, i);
    const last = (end < 0 ? mask.length : end) - 1;
    rows.push([i, last]);
    i = end < 0 ? -1 : mask.indexOf(1, end);
  }
  return rows;
}

/**
 * The codes of a column in each part of a view that has codes; groups of a session have rows.
 *
 * @param {View} view
 * @returns {[string, number[]][]} column ids and codes; a column may be there several times
 */
const listCodes = ({ filters, colors }) => [
  ...filters.flatMap((filter) =>
    (filter.kind === "categories" ? [/** @type {[string, number[]]} */ ([filter.column, filter.codes])] : [])),
  ...Object.entries(colors).map(([columnId, byCode]) =>
    /** @type {[string, number[]]} */ ([columnId, Object.keys(byCode).map(Number)])),
];

/**
 * @param {View} view
 * @param {{id: string, hash: string, idsHash: string | null, columns: Categories}} dataset
 * @param {import("./masks.js").Sources} sources
 * @returns {Session}
 */
export function createSession(view, { id, hash, idsHash, columns }, sources) {
  /** @type {Session["categories"]} */
  const categories = {};
  for (const [columnId, codes] of listCodes(view)) {
    if (!columns.has(columnId)) continue;
    const { names, missingCode } = columns.get(columnId);
    categories[columnId] ??= {};
    for (const code of codes) {
      if (code < names.length) categories[columnId][code] = names[code];
      else if (code === missingCode) categories[columnId][code] = null;
    }
  }
  return {
    format: FORMAT,
    version: VERSION,
    dataset: { id, n_cells: sources.nCells, hash, ...idsHash && { ids_hash: idsHash } },
    view: formatView({ ...view, dataset: null, groups: [] }),
    categories,
    groups: view.groups.map(({ id: group, name, color, cells }) =>
      ({ id: group, name, color, rows: rowsOfMask(createMask(cells, sources)) })),
  };
}

/**
 * The view of a session. Its groups are lists of rows, and its categories those of the same names:
 * another version of the dataset may have other codes, or other places of cells.
 *
 * @param {string} text of the file
 * @param {object} dataset that is shown
 * @param {number} dataset.nCells
 * @param {string} dataset.hash
 * @param {boolean} dataset.hasIds of cells; without, the hash is of the number of cells only
 * @param {() => Promise<string | null>} dataset.hashAllIds takes a while
 * @param {string} dataset.id
 * @param {Categories} dataset.columns
 * @param {string[]} problems gets a line for each part that cannot be shown
 * @returns {Promise<import("../link/link.js").View>}
 * @throws {Error} that says what is wrong with the file
 */
export async function openSession(text, { nCells, hash, hasIds, hashAllIds, id, columns }, problems) {
  const session = parseSession(text);
  const { id: wantedId, n_cells: n, hash: wantedHash, ids_hash: idsHash } = session.dataset;
  const wrong = "This session is of other cells:";
  if (n !== nCells) {
    throw new Error(`${wrong} of ${n} cells of the dataset "${wantedId}". `
      + `This page shows ${nCells} cells of "${id}".`);
  }
  if (wantedHash !== hash || (idsHash && ![idsHash, null].includes(await hashAllIds()))) {
    throw new Error(`${wrong} those of the dataset "${wantedId}" have other ids than those of "${id}".`);
  }
  const view = parseView(session.view, problems);
  view.groups = session.groups.map(({ id: group, name, color, rows }) =>
    ({ id: group, name, color, cells: { rows } }));
  translateCodes(view, session.categories, columns, problems);
  if (session.dataset.id !== id) { // outlines of other points
    if (view.groups.length && !hasIds) {
      problems.push(`The groups are rows of the dataset "${wantedId}". There are no cell ids to compare: check `
        + "that this dataset has the same cells in the same order.");
    }
    const isOutline = (/** @type {{kind: string}} */ { kind }) => kind === "selection";
    if (view.lasso.length || view.filters.some(isOutline)) {
      problems.push("Outlines are left out: they were drawn on another dataset.");
    }
    view.lasso = [];
    view.at = null;
    view.filters = view.filters.filter((filter) => !isOutline(filter));
  }
  return view;
}

/**
 * Gives all parts of a view the codes that the categories of the same names have here, and leaves
 * out a part of which no category is here: without any, a filter would pass all cells, or none.
 *
 * @param {View} view changes
 * @param {Session["categories"]} categories
 * @param {Categories} columns
 * @param {string[]} problems
 */
function translateCodes(view, categories, columns, problems) {
  view.filters = view.filters.flatMap((/** @returns {View["filters"]} */ (filter) => {
    if (filter.kind !== "categories") return [filter];
    const codes = translate("The filter", filter.column, filter.codes.map((code) => [code, code]));
    return codes ? [{ ...filter, codes: codes.map(([code]) => code) }] : [];
  }));
  view.colors = Object.fromEntries(Object.entries(view.colors).flatMap(([columnId, byCode]) => {
    const colors = Object.entries(byCode).map(([code, color]) =>
      /** @type {[number, string]} */ ([Number(code), color]));
    const here = translate("The change of colors", columnId, colors);
    return here ? [[columnId, Object.fromEntries(here)]] : [];
  }));

  /**
   * @template Value
   * @param {string} part
   * @param {string} columnId
   * @param {[number, Value][]} byCode
   * @returns {[number, Value][] | null} null if none is left
   */
  function translate(part, columnId, byCode) {
    const [saved, here] = [categories[columnId], columns.get(columnId)];
    if (!saved || !here) return byCode;
    const codes = new Map(here.names.map((name, code) => [name, code]));
    /** @type {string[]} */
    const lost = [];
    /** @type {[number, Value][]} */
    const found = [];
    for (const [code, value] of byCode) {
      const name = saved[code];
      // Sessions of other programs may lack names; their codes are those of the shown dataset.
      if (name === undefined) found.push([code, value]);
      else if (name === null) found.push([here.missingCode, value]);
      else if (codes.has(name)) found.push([codes.get(name), value]);
      else lost.push(name);
    }
    if (!lost.length) return found;
    problems.push(`${part} of "${splitColumnId(columnId)[1]}" is ${found.length ? "kept in part" : "left out"}: `
      + `this column does not have the ${describeNames(lost)}.`);
    return found.length ? found : null;
  }
}

/**
 * "category "healthy"", "categories "a", "b", "c" and 2 more"
 *
 * @param {string[]} names
 */
function describeNames(names) {
  const some = names.slice(0, MAX_NAMES).map((name) => `"${cutMiddle(name, MAX_LENGTH)}"`);
  const more = names.length - some.length;
  return `${names.length === 1 ? "category" : "categories"} ${some.join(", ")}${more ? ` and ${more} more` : ""}`;
}

/**
 * @param {string} text
 * @returns {Session}
 */
function parseSession(text) {
  let session;
  try {
    session = JSON.parse(text);
  } catch {
    throw new Error("This file is not a session: it is not JSON.");
  }
  if (session?.format !== FORMAT) {
    throw new Error("This file is not a session that this page saved.");
  }
  if (session.version !== VERSION) {
    throw new Error(`This session has version ${session.version}; this page reads ${VERSION}.`);
  }
  const isRow = (/** @type {unknown} */ row) => Number.isInteger(row) && Number(row) >= 0;
  const areRows = (/** @type {any} */ rows) => Array.isArray(rows) && rows.every((/** @type {any} */ range, i) =>
    Array.isArray(range) && range.length === 2 && range.every(isRow) && range[0] <= range[1]
    && range[1] < session.dataset.n_cells && (!i || rows[i - 1][1] < range[0]));
  const isGroup = (/** @type {any} */ group) => /^g\d{1,6}$/.test(group?.id) && typeof group.name === "string"
    && /^#[0-9a-f]{6}$/.test(group.color) && areRows(group.rows);
  const areNames = (/** @type {any} */ byCode) => byCode !== null && typeof byCode === "object"
    && Object.values(byCode).every((name) => name === null || typeof name === "string");
  session.categories ??= {};
  const isWhole = typeof session.view === "string" && typeof session.categories === "object"
    && Object.values(session.categories).every(areNames) && isRow(session.dataset?.n_cells)
    && Array.isArray(session.groups) && session.groups.every(isGroup)
    && new Set(session.groups.map((/** @type {any} */ group) => group.id)).size === session.groups.length;
  if (!isWhole) throw new Error("This session is damaged: save it again from the page.");
  return session;
}
