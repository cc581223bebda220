// Loads the list of datasets, and what describes the one of the view: its identity, fields and genes.

import { GROUP_COLUMN, listRows } from "../ask/groups.js";
import { Dataset } from "../data/dataset.js";
import { fingerprintOfCells } from "../data/fingerprint.js";
import { removeToken } from "../link/address.js";
import { chooseEmbedding, dropUnusableColumns, dropUnusableMarks } from "../link/unusable-parts.js";
import { loaded, problems, resetLoaded, view } from "../state.js";
import { chooseColumn, defaultColumn, NO_GROUPS } from "./choose-column.js";
import { takeFailure } from "./failed-parts.js";
import { createReader, createServerReader } from "./readers.js";
import { showDataset, showFields } from "./show-loaded.js";

/** @typedef {import("../data/reader.js").Reader} Reader */
/** @typedef {import("../state.js").Entry} Entry */
/** @typedef {import("./show-loaded.js").Ui} Ui */
/** @typedef {{obs: Promise<void>, all: Promise<void>}} Fields of obs, and of these and the genes */

/**
 * @param {AbortSignal} signal
 * @param {Ui} ui
 */
export async function loadEntries(signal, { controls }) {
  const list = await createServerReader(signal).readJson("_cellucid/datasets");
  // Beside the hosted page the list has no paths: the files of its one dataset are at the root.
  /** @type {Entry[]} */
  const datasets = list.datasets.map((/** @type {Omit<Entry, "path">} */ entry) => ({ path: "/", ...entry }));
  signal.throwIfAborted();
  removeToken();
  const usable = datasets.filter((entry) => !entry.error);
  if (!usable.length) {
    const reasons = datasets.map(({ name, error }) => `${name}: ${error}`);
    throw new Error(["The server has no dataset to show.", ...reasons].join(" "));
  }
  loaded.entries = datasets;
  const wanted = usable.find(({ id, path }) => [id, path].includes(view.dataset));
  const entry = wanted ?? usable[0];
  if (view.dataset !== null && !wanted) {
    problems.push(`This server has no dataset "${view.dataset}". The page shows "${entry.name}".`);
  }
  view.dataset = entry.path; // not the id, which two datasets may share
  controls.showEntries(datasets);
}

/**
 * @param {Reader} reader
 * @param {Entry} entry
 * @param {Ui} ui
 */
export async function loadDataset(reader, entry, ui) {
  resetLoaded();
  takeFailure(); // of a dataset that was left while it opened
  ui.display.clear();
  ui.controls.clear(entry.name);
  const dataset = await Dataset.open(reader);
  reader.signal.throwIfAborted();
  Object.assign(loaded, { dataset, entry, nVisible: dataset.nCells });
  chooseEmbedding(view, dataset, problems);
  dropUnusableMarks(view, dataset, problems);
  showDataset(ui);
}

/**
 * Loads everything of the dataset again if there is a new export since the page was opened.
 *
 * @param {AbortSignal} signal
 */
export async function discardOldDataset(signal) {
  if (!loaded.dataset) return;
  if (!await loaded.dataset.isCurrent(createReader(loaded.entry, signal))) loaded.entry = null;
}

/**
 * @param {Reader} reader
 * @param {Ui} ui
 * @returns {Fields}
 */
export function loadFields(reader, ui) {
  const { dataset } = loaded;
  const obs = dataset.readFields(reader);
  const all = Promise.all([obs, dataset.readGenes(reader)]).then(async () => {
    const hasRows = view.groups.some(({ cells }) => listRows(cells).length);
    const hash = hasRows ? await fingerprintOfCells(dataset, reader).catch(() => "") : "";
    reader.signal.throwIfAborted();
    chooseColumn();
    dropUnusableColumns(view, dataset, problems, hash);
    if (view.color === GROUP_COLUMN && !view.groups.length) {
      problems.push(NO_GROUPS);
      view.color = defaultColumn();
    }
    loaded.hasFields = true;
    showFields(ui);
  });
  for (const promise of [obs, all]) promise.catch(() => {}); // whoever awaits them shows the error
  return { obs, all };
}
