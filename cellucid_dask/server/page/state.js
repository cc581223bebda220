// What the page knows: the view that the user wants, what is loaded for it, and what it publishes
// to tests.

import { parseView } from "./link/link.js";

const NOTHING_LOADED = {
  entry: null, // of the dataset in the server's list
  dataset: null,
  hasFields: false, // whether the fields of obs and the genes are known
  dimension: 0,
  columnId: null,
  column: null,
  outliers: null, // of the column
  vectors: null,
  edges: null,
  lasso: null, // the outlines for which there is a selection mask
  selectionMask: null,
  isVisible: null, // a function from the index of a cell; null if all are visible
};

/** What the user wants to see; its parts are those of a link. */
export const view = parseView(location.hash.slice(1));

/** What is loaded; `hidden` has the codes of the column that are hidden. */
export const loaded = { entries: null, hidden: new Set(), ...NOTHING_LOADED };

/** Filters and scales by column id, to use them again when the user comes back to a column. */
export const columnSettings = new Map();

/**
 * What tests and benchmarks read.
 *
 * @type {Record<string, any>}
 */
export const published = (window.cellucid = {
  ready: false, nCells: 0, colorBy: null, error: null, drawn: 0, dataset: null, dimension: 0,
});

/** Forgets everything about a dataset. */
export function resetLoaded() {
  Object.assign(loaded, NOTHING_LOADED);
  columnSettings.clear();
  Object.assign(published, { nCells: 0, colorBy: null, drawn: 0, dataset: null, dimension: 0 });
}

/** The entry of the dataset that the view names. */
export const wantedEntry = () => loaded.entries.find(({ path }) => path === view.dataset);
