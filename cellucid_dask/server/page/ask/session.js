// Sessions: the view and its groups as a file, for what a link cannot hold.

import { formatView, parseView } from "../link/link.js";
import { createMask } from "./masks.js";

const FORMAT = "cellucid-session";
const VERSION = 1;

/**
 * @typedef {{format: string, version: number, dataset: {id: string, n_cells: number, hash: string},
 *   view: string, groups: {id: string, name: string, color: string, rows: [number, number][]}[]}}
 *   Session `view` is the text of a link; rows are ranges, first and last, counted from 0
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
 * @param {{id: string, hash: string}} dataset
 * @param {import("./masks.js").Sources} sources
 * @returns {Session}
 */
export function createSession(view, { id, hash }, sources) {
  return {
    format: FORMAT,
    version: VERSION,
    dataset: { id, n_cells: sources.nCells, hash },
    view: formatView({ ...view, dataset: null }),
    groups: view.groups.map(({ id: group, name, color, cells }) =>
      ({ id: group, name, color, rows: rowsOfMask(createMask(cells, sources)) })),
  };
}

/**
 * The view of a session. Groups that a link can hold stay what they are; the others are rows.
 *
 * @param {string} text of the file
 * @param {{nCells: number, hash: string, id: string}} dataset that is shown
 * @returns {import("../link/link.js").View}
 * @throws {Error} that says what is wrong with the file
 */
export function openSession(text, { nCells, hash, id }) {
  const session = parseSession(text);
  if (session.dataset.n_cells !== nCells || session.dataset.hash !== hash) {
    throw new Error(`This session is of other cells: of ${session.dataset.n_cells} cells of the `
      + `dataset "${session.dataset.id}". This page shows ${nCells} cells of "${id}".`);
  }
  const view = parseView(session.view);
  const described = new Map(view.groups.map((group) => [group.id, group]));
  view.groups = session.groups.map(({ id: group, name, color, rows }) =>
    described.get(group) ?? { id: group, name, color, cells: { rows } });
  return view;
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
  const isWhole = typeof session.view === "string" && isRow(session.dataset?.n_cells)
    && Array.isArray(session.groups) && session.groups.every(isGroup)
    && new Set(session.groups.map((/** @type {any} */ group) => group.id)).size === session.groups.length;
  if (!isWhole) throw new Error("This session is damaged: save it again from the page.");
  return session;
}
