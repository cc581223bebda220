// What the page knows: what is wanted, what is loaded, and what tests look at.

import { read } from "./link.js";

const NOTHING = {
  entry: null, dataset: null, fields: false, dimension: 0, colour: null, column: null,
  outliers: null, vectors: null, edges: null, lasso: null, marks: null, seen: null,
};

/** What is wanted: what a link tells. */
export const view = read(location.hash.slice(1));

/** What is loaded; `hidden`: codes of the column, `seen` tells whether a cell is seen. */
export const have = { entries: null, hidden: new Set(), ...NOTHING };

/** For tests to look at. */
export const state = (window.cellucid = {
  ready: false, nCells: 0, colorBy: null, error: null, drawn: 0, dataset: null, dimension: 0,
});

/** Forgets a dataset. */
export function forget() {
  Object.assign(have, NOTHING);
  Object.assign(state, { nCells: 0, colorBy: null, drawn: 0, dataset: null, dimension: 0 });
}
