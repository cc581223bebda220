// Sessions: the view and its groups as a file, for what a link cannot hold.

import { formatCountOf } from "../dom.js";
import { formatView, parseView } from "../link/link.js";
import { columnOfFilter } from "./filters.js";
import { createMask } from "./masks.js";

const FORMAT = "cellucid-session";
const VERSION = 1;

/** @typedef {Map<string, string[]>} CategoryNames names of the categories by column id */

/**
 * @typedef {{id: string, n_cells: number, hash: string, ids_hash?: string}} SessionDataset `hash` is of
 *   some ids, `ids_hash` of all: older sessions do not have it, and datasets without ids
 * @typedef {{format: string, version: number, dataset: SessionDataset,
 *   view: string, categories: Record<string, Record<string, string>>,
 *   groups: {id: string, name: string, color: string, rows: [number, number][]}[]}} Session
 *   `view` is the text of a link, `categories` has the names of the codes that its filters list,
 *   by column id; rows are ranges, first and last, counted from 0
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
 * @param {import("../link/link.js").View} view
 * @param {{id: string, hash: string, idsHash: string | null, names: CategoryNames}} dataset
 * @param {import("./masks.js").Sources} sources
 * @returns {Session}
 */
export function createSession(view, { id, hash, idsHash, names }, sources) {
  /** @type {Session["categories"]} */
  const categories = {};
  for (const filter of view.filters) {
    if (filter.kind !== "categories" || !names.has(filter.column)) continue;
    const known = filter.codes.filter((code) => code in names.get(filter.column));
    categories[filter.column] = Object.fromEntries(
      known.map((code) => [code, names.get(filter.column)[code]]));
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
 * @param {() => Promise<string | null>} dataset.hashAllIds takes a while
 * @param {string} dataset.id
 * @param {CategoryNames} dataset.names
 * @param {string[]} problems gets a line for each part that cannot be shown
 * @returns {Promise<import("../link/link.js").View>}
 * @throws {Error} that says what is wrong with the file
 */
export async function openSession(text, { nCells, hash, hashAllIds, id, names }, problems) {
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
  view.filters = view.filters.map((filter) => translate(filter, session.categories, names));
  if (session.dataset.id !== id) { // outlines of other points
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
 * A filter with the codes that the categories of the same names have here.
 *
 * @param {import("./filters.js").Filter} filter
 * @param {Session["categories"]} categories
 * @param {CategoryNames} names
 * @returns {import("./filters.js").Filter}
 */
function translate(filter, categories, names) {
  const saved = categories[columnOfFilter(filter) ?? ""];
  const here = names.get(columnOfFilter(filter) ?? "");
  if (filter.kind !== "categories" || !saved || !here) return filter;
  const codes = filter.codes.map((code) => (code in saved ? here.indexOf(saved[code]) : code));
  return { ...filter, codes: codes.filter((code) => code >= 0) };
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
  session.categories ??= {};
  const isWhole = typeof session.view === "string" && typeof session.categories === "object" && isRow(session.dataset?.n_cells)
    && Array.isArray(session.groups) && session.groups.every(isGroup)
    && new Set(session.groups.map((/** @type {any} */ group) => group.id)).size === session.groups.length;
  if (!isWhole) throw new Error("This session is damaged: save it again from the page.");
  return session;
}
