// What the page knows: the view that the user wants, what is loaded for it, and what it publishes
// to tests; and who wants to hear of changes.

import { parseView } from "./link/link.js";
import { writeUnwrittenLink } from "./link/unwritten-link.js";

/** @typedef {import("./ask/filters.js").Filter} Filter */
/** @typedef {import("./data/columns.js").CategoricalColumn} CategoricalColumn */
/** @typedef {import("./data/columns.js").Column} Column */
/** @typedef {import("./ask/groups.js").Group} Group */
/** @typedef {import("./link/link.js").View} View */
/** @typedef {{id: string, name: string, path: string, error?: string}} Entry */
/** @typedef {"dataset" | "column" | "cells" | "view" | "history"} Topic */

const NOTHING_LOADED = {
  /** @type {Entry | null} The entry of the dataset in the server's list. */
  entry: null,
  /** @type {import("./data/dataset.js").Dataset | null} */
  dataset: null,
  /** Whether the fields of obs and the genes are known. */
  hasFields: false,
  /** Whether a view of the dataset was shown: from then on, a view that fails is taken back. */
  wasShown: false,
  /** @type {Partial<View>} Parts that could not be loaded when the dataset opened, as wanted. */
  wanted: {},
  /** @type {Filter[]} Filters of the view that were switched off, as they could not be loaded. */
  lostFilters: [],
  /** @type {Float32Array | null} The points of the embedding, as they were read. */
  points: null,
  dimension: 0,
  /** Which embedding the points are of; "" for the default one of the dimension. */
  embedding: "",
  /** @type {string | null} */
  columnId: null,
  /** @type {Group[] | null} The groups that the column shows, if it is that of the groups. */
  groupsInColumn: null,
  /** @type {Column | null} The column that colors the cells. */
  column: null,
  /** @type {CategoricalColumn | null} The last column that had categories: labels are of it. */
  labelColumn: null,
  /** @type {Group[] | null} The groups that the labels are of, if they are of groups. */
  groupsInLabels: null,
  /** Id of a column that could not be loaded for the labels. */
  lostLabels: "",
  /** @type {Float32Array | null} */
  vectors: null,
  /** @type {Uint32Array | null} */
  edges: null,
  /** @type {Uint8Array | null} A byte per cell, 1 if it is selected; null without a selection. */
  selectionMask: null,
  /** Number of the selected cells that pass all filters. */
  nSelected: 0,
  /** Cells that the fitted view leaves out because they are far outside. */
  strayCells: 0,
  /** @type {Uint8Array | null} A byte per cell, 1 if it passes all filters; null if all do. */
  visible: null,
  nVisible: 0,
  /** Whether the masks are those of the view. */
  areCellsShown: false,
  /**
   * Color scales by column id, to use them again when the user comes back to a column.
   *
   * @type {Map<string, {range: [number, number] | null, log: boolean}>}
   */
  columnSettings: new Map(),
  /** @type {Map<string, number[] | null>} Where each plot was left, by its `plotKey`. */
  viewpoints: new Map(),
};

/** @type {string[]} Lines on what the link has and the page cannot show, until they are said. */
export const problems = [];

writeUnwrittenLink();
/** What the user wants to see; its parts are those of a link. */
export const view = parseView(location.hash.slice(1), problems);

/** What is loaded for the view. */
export const loaded = {
  /** @type {Entry[] | null} */
  entries: null,
  ...NOTHING_LOADED,
};

/**
 * Key of the plot of an embedding.
 *
 * @param {{d: number, embedding: string}} view
 */
export const plotKey = ({ d, embedding }) => `${d} ${embedding}`;

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
  const settings = { columnSettings: new Map(), viewpoints: new Map() };
  Object.assign(loaded, NOTHING_LOADED, settings);
  Object.assign(published, { nCells: 0, colorBy: null, drawn: 0, dataset: null, dimension: 0 });
}

/** The entry of the dataset that the view names. */
export const wantedEntry = () => loaded.entries.find(({ path }) => path === view.dataset);

/**
 * Whether a cell passes all filters.
 *
 * @param {number} i
 */
export const isVisible = (i) => !loaded.visible || loaded.visible[i] > 0;

/** @type {Record<Topic, ((parts?: string[]) => void)[]>} */
const listeners = { dataset: [], column: [], cells: [], view: [], history: [] };

/**
 * Calls `listener` after each change: of the "dataset" (its fields are known now), the "column"
 * that colors the cells, which "cells" are visible or selected, any part of the "view" (with the
 * names of the parts), or what can be undone ("history").
 *
 * @param {Topic} topic
 * @param {(parts?: string[]) => void} listener
 */
export function subscribe(topic, listener) {
  listeners[topic].push(listener);
}

/**
 * @param {Topic} topic
 * @param {string[]} [parts]
 */
export function notify(topic, parts) {
  for (const listener of listeners[topic]) listener(parts);
}
