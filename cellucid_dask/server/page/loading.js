// Loads what the view needs and what is not loaded yet, and shows each part when it is there.

import { columnName, describeFilter } from "./ask/describe.js";
import { columnOfFilter } from "./ask/filters.js";
import { GROUP_COLUMN, listRows, selectionExpression } from "./ask/groups.js";
import { Dataset, splitColumnId } from "./data/dataset.js";
import { fingerprintOfCells } from "./data/fingerprint.js";
import { LoadError, Reader } from "./data/reader.js";
import {
  areSourcesLoaded, lacksSources, loadColumn, loadSources, markMissing, SourcesError,
} from "./data/sources.js";
import { $ } from "./dom.js";
import { doWithout, noteFailure, takeFailure } from "./failed-parts.js";
import { removeToken } from "./link/address.js";
import {
  chooseEmbedding, chooseOtherEmbedding, dropUnusableColumns, dropUnusableMarks, kindOfColumn,
} from "./link/unusable-parts.js";
import { showNotice } from "./messages.js";
import { showProgress } from "./progress.js";
import {
  loaded, notify, plotKey, problems, published, resetLoaded, view, wantedEntry,
} from "./state.js";

/** @typedef {import("./ask/filters.js").Filter} Filter */
/** @typedef {import("./data/dataset.js").Embedding} Embedding */
/** @typedef {import("./failed-parts.js").Failure} Failure */
/** @typedef {import("./link/link.js").View} View */
/** @typedef {import("./state.js").Entry} Entry */
/**
 * What shows the view.
 *
 * @typedef {object} Ui
 * @property {import("./display.js").Display} display
 * @property {import("./panels/controls.js").Controls} controls
 */
/** @typedef {{error: LoadError, embedding: Embedding, isRefused: boolean}} Unread an embedding */
/** @typedef {{obs: Promise<void>, all: Promise<void>}} Fields of obs, and of these and the genes */

const ROOT = new URL("../../", import.meta.url); // this file is at _cellucid/page/loading.js
const NO_GROUPS = "There are no groups to color the cells by.";
export const MAX_EDGES = 1_000_000; // of more, the page draws an even sample

/**
 * Reader of the files of a dataset.
 *
 * @param {Entry} entry
 * @param {AbortSignal} signal
 */
export const createReader = (entry, signal, onProgress = showProgress) =>
  new Reader(new URL(`.${entry.path}`, ROOT), signal, onProgress);

/**
 * Reader of the files of the server.
 *
 * @param {AbortSignal} signal
 */
export const createServerReader = (signal, onProgress = showProgress) =>
  new Reader(ROOT, signal, onProgress);

/**
 * The column of an id, for a panel; a later change of the view does not abort it.
 *
 * @param {string} columnId
 */
export function readColumn(columnId) {
  const { column, columnId: shown, entry } = loaded;
  if (columnId === shown && column) return Promise.resolve(column);
  const { signal } = new AbortController();
  return loadColumn(createReader(entry, signal, () => {}), columnId);
}

/** Whether all that the view needs is loaded. */
export function isViewLoaded() {
  const { dataset, dimension, embedding, vectors, edges } = loaded;
  return Boolean(loaded.entries && dataset && loaded.entry === wantedEntry() && loaded.hasFields
    && dimension === view.d && embedding === view.embedding && isColumnShown()
    && areSourcesLoaded() && (vectors || !vectorField())
    && (edges || !view.edges || dataset.nEdges === 0));
}

/** Whether the column that the view wants colors the cells; that of the groups changes with them. */
const isColumnShown = () => loaded.columnId === view.color
  && (view.color !== GROUP_COLUMN || loaded.groupsInColumn === view.groups);

/** The vector field that the view wants and that the dimension has. */
function vectorField() {
  const field = loaded.dataset.vectorFields[view.vectors];
  return field?.available_dimensions.includes(view.d) && !view.embedding ? field : null;
}

/**
 * Loads the view and shows it.
 *
 * After every wait it checks `signal`: a later change of the view aborts this one.
 *
 * @param {AbortSignal} signal
 * @param {Ui} ui
 */
export async function loadView(signal, ui) {
  if (!loaded.entries) await loadEntries(signal, ui);
  const entry = wantedEntry();
  const reader = createReader(entry, signal);
  if (loaded.entry !== entry) await loadDataset(reader, entry, ui);
  const fields = loaded.hasFields ? null : loadFields(reader, ui);
  await Promise.all([loadPoints(reader, ui), fields?.all, loadShownColumn(reader, fields, ui)]);
  showProblems();
  await loadCells(reader, ui);
  await loadVectors(reader, ui);
  await loadEdges(reader, ui);
  await loadLabelColumn(reader, ui);
  ui.controls.showView(view);
}

/**
 * Loads everything of the dataset again if there is a new export since the page was opened.
 *
 * @param {AbortSignal} signal
 */
export async function discardOldDataset(signal) {
  if (!loaded.dataset) return;
  const identity = await createReader(loaded.entry, signal).readJson("dataset_identity.json");
  const isSame = JSON.stringify(identity) === JSON.stringify(loaded.dataset.identity);
  if (!isSame) loaded.entry = null;
}

/**
 * @param {AbortSignal} signal
 * @param {Ui} ui
 */
async function loadEntries(signal, { controls }) {
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
async function loadDataset(reader, entry, ui) {
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

/** @param {Ui} ui */
function showDataset({ controls }) {
  const { identity, nCells } = loaded.dataset;
  Object.assign(published, { nCells, dataset: identity.id });
  controls.showDataset(loaded.dataset);
  controls.showView(view);
}

/**
 * @param {Reader} reader
 * @param {Ui} ui
 * @returns {Fields}
 */
function loadFields(reader, ui) {
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

/** @param {Ui} ui */
function showFields({ controls }) {
  controls.showFields(loaded.dataset);
  controls.showView(view);
  notify("dataset");
}

/**
 * Points of the embedding of the view; while the dataset opens, else of one that can be read.
 *
 * @param {Reader} reader
 * @param {Ui} ui
 */
async function readPoints(reader, { controls }) {
  const { dataset } = loaded;
  const wanted = { d: view.d, embedding: view.embedding };
  if (!loaded.wasShown) dataset.forgetLoadErrors();
  /** @type {Unread[]} */
  const failed = [];
  for (;;) {
    const embedding = dataset.findEmbedding(view.embedding, view.d);
    try {
      const points = await dataset.readPoints(reader, embedding);
      if (failed.length) sayShownInstead(failed, wanted, embedding);
      return points;
    } catch (error) {
      reader.signal.throwIfAborted();
      if (!(error instanceof LoadError)) throw error;
      const [subject, why] = error.reason.split(/: (.*)/s);
      const isRefused = subject === `obsm/${embedding.id}`; // live: it has NaN
      if (loaded.wasShown && !isRefused) throw error;
      dataset.noteProblems({ [embedding.id]: isRefused ? why : error.message });
      failed.push({ error, embedding, isRefused });
      if (loaded.wasShown) throw new Error(describeFailed(failed[0]));
      if (view.at) loaded.viewpoints.set(plotKey(view), view.at); // for Retry
      if (!chooseOtherEmbedding(view, dataset, failed.map((each) => each.embedding))) {
        Object.assign(view, wanted);
        throw new NoEmbeddingError(failed);
      }
      view.at = loaded.viewpoints.get(plotKey(view)) ?? null;
      controls.showView(view);
    }
  }
}

/** No embedding of the dataset can be read: the errors of all of them. */
class NoEmbeddingError extends Error {
  /** @param {Unread[]} failed */
  constructor(failed) {
    const messages = failed.map(({ error }) => error.message);
    super(`${messages.join("; ")}. This dataset has no other embedding to show.`);
    const { path, status } = failed[0].error;
    Object.assign(this, { path, status });
  }
}

/** @param {Unread} unread */
const describeFailed = ({ embedding: { id, problem } }) =>
  `The embedding "${id}" cannot be shown: ${problem}.`;

/**
 * Retry asks for what could not be loaded; what the server refuses stays as it is.
 *
 * @param {Unread[]} failed
 * @param {Pick<View, "d" | "embedding">} wanted
 * @param {Embedding} shown
 */
function sayShownInstead(failed, wanted, shown) {
  const instead = `The page shows "${shown.id}".`;
  const broken = failed.filter(({ isRefused }) => !isRefused);
  const refused = failed.filter(({ isRefused }) => isRefused).map(describeFailed);
  if (!broken.length) {
    problems.push([...refused, instead].join(" "));
    return;
  }
  const lines = broken.map(({ embedding }) => `The embedding "${embedding.id}" cannot be shown.`);
  for (const { error } of broken) noteFailure(error, []);
  noteFailure(broken[0].error, [...lines, ...refused, instead]);
  loaded.wanted = { ...wanted, ...loaded.wanted };
}

/**
 * @param {Reader} reader
 * @param {Ui} ui
 */
async function loadPoints(reader, ui) {
  if (loaded.dimension === view.d && loaded.embedding === view.embedding) return;
  const points = await readPoints(reader, ui);
  reader.signal.throwIfAborted();
  const { d, embedding } = view;
  Object.assign(loaded, { dimension: d, embedding, points, vectors: null });
  showPoints(ui); // before the fields, which may take a while with live data
}

/** @param {Ui} ui */
function showPoints({ display }) {
  published.dimension = loaded.dimension;
  display.showPoints(loaded.points, loaded.dimension);
}

/**
 * Runs while the points load; waits for the list of genes only for a gene, or for groups.
 *
 * @param {Reader} reader
 * @param {Fields | null} fields null if they are known
 * @param {Ui} ui
 */
async function loadShownColumn(reader, fields, ui) {
  const needsAll = ["gene", "groups"].includes(splitColumnId(view.color ?? "")[0]);
  await (needsAll ? fields?.all : fields?.obs);
  reader.signal.throwIfAborted();
  chooseColumn();
  const isShown = isColumnShown();
  $("legend").inert = !isShown; // until then it is the legend of the previous column
  if (isShown) return;
  if (view.color === GROUP_COLUMN) await loadNeeds(reader);
  const column = view.color ? await loadOptional(reader, loadColumn(reader, view.color),
    { color: "", range: null, log: false }, "The cells have no colors.") : null;
  reader.signal.throwIfAborted();
  Object.assign(loaded, { columnId: view.color, column, groupsInColumn: view.groups });
  showColumn(ui);
}

/** @param {Ui} ui */
function showColumn({ display }) {
  display.updateColumn();
  notify("column");
}

/**
 * Shows what is loaded again, after another view failed, maybe one of another dataset.
 *
 * @param {typeof loaded} failed what was loaded for that one
 * @param {Ui} ui
 */
export function showAgain({ dataset, points, column }, ui) {
  if (dataset !== loaded.dataset) {
    showDataset(ui);
    showFields(ui);
  }
  if (points !== loaded.points) showPoints(ui);
  if (column !== loaded.column) showColumn(ui);
  $("legend").inert = false;
  ui.display.showFilters();
  ui.display.updateCells();
  ui.display.finishOpening();
}

/**
 * A link with a column of values says which column the labels are of.
 *
 * @param {Reader} reader
 * @param {Ui} ui
 */
async function loadLabelColumn(reader, { display }) {
  const { dataset, column, labelColumn } = loaded;
  const wanted = view.labelColumn || defaultColumn();
  if (!wanted || labelColumn || !column || column.isCategorical) return;
  if (!dataset.categorical.has(splitColumnId(wanted)[1]) || wanted === loaded.lostLabels) return;
  const found = await loadColumn(reader, wanted).catch((error) => ({ error }));
  reader.signal.throwIfAborted();
  if ("error" in found) {
    loaded.lostLabels = wanted;
    noteFailure(found.error, ["There are no labels."]);
    return;
  }
  loaded.labelColumn = found;
  display.updateAppearance();
}

/** Id of the first useful categorical column; "" if there is none. */
function defaultColumn() {
  const fields = [...loaded.dataset.categorical.values()];
  const useful = fields.find(([, { length }]) => length > 1 && length < 255);
  return useful ? `obs:${useful[0]}` : "";
}

/** @param {string} columnId */
function describeUnknownColor(columnId) {
  const [kind, key] = splitColumnId(columnId);
  const noun = { obs: "obs column", gene: "gene" }[kind] ?? "obs column or gene";
  return `This dataset has no ${noun} "${key || columnId}". Choose another one.`;
}

/** If the view has no column, or one that does not exist: takes the first useful one. */
function chooseColumn() {
  const { dataset } = loaded;
  const [kind, key] = splitColumnId(view.color ?? "");
  if (kind === "gene" && !dataset.genes) return; // not loaded yet
  const isKnown = view.color === null || view.color === GROUP_COLUMN
    || dataset.hasColumn(view.color);
  const genes = !isKnown && kind === "gene" ? dataset.geneNames.find(key) : [];
  if (genes.length === 1) view.color = `gene:${genes[0]}`; // the link has its symbol
  else if (!isKnown) {
    problems.push(genes.length
      ? `${genes.length} genes have the symbol "${key}": ${genes.join(", ")}. Choose one.`
      : describeUnknownColor(view.color));
    const filters = view.filters.filter((filter) => columnOfFilter(filter) !== "");
    if (filters.length < view.filters.length) problems.push(`What is hidden of "${key}" is left out.`);
    view.filters = filters;
    Object.assign(view, { color: null, range: null, log: false });
  }
  view.color ??= defaultColumn();
  nameColumnOfOldFilters();
}

/** Filters of an older link are of the column that colors the cells. */
function nameColumnOfOldFilters() {
  const { filters, color } = view;
  const isOld = (/** @type {Filter} */ filter) => columnOfFilter(filter) === "";
  if (kindOfColumn(color, loaded.dataset) === "categories") {
    view.filters = filters.map((filter) => (isOld(filter) ? { ...filter, column: color } : filter));
  } else if (filters.some(isOld)) {
    const what = color ? ` of "${columnName(color, loaded.dataset)}"` : "";
    problems.push(`What is hidden${what} is left out: no column of categories colors the cells.`);
    view.filters = filters.filter((filter) => !isOld(filter));
  }
}

/**
 * Makes a view that a file holds one that the dataset can show, and says what it lacks.
 *
 * @param {View} wanted
 * @param {string} hash of the cells
 */
export function checkView(wanted, hash) {
  const { dataset } = loaded;
  chooseEmbedding(wanted, dataset, problems);
  dropUnusableMarks(wanted, dataset, problems);
  dropUnusableColumns(wanted, dataset, problems, hash);
  const { color } = wanted;
  const isKnown = color === GROUP_COLUMN ? wanted.groups.length : color && dataset.hasColumn(color);
  if (!isKnown) {
    if (color) problems.push(color === GROUP_COLUMN ? NO_GROUPS : describeUnknownColor(color));
    Object.assign(wanted, { color: view.color, range: view.range, log: view.log });
  }
  showProblems();
}

/** Says what of the link cannot be shown, all at once. */
function showProblems() {
  const lines = new Set(problems.splice(0));
  if (lines.size === 1) showNotice([...lines][0]);
  else if (lines.size) showNotice("These parts cannot be shown. The page shows the rest:", { lines: [...lines] });
}

/**
 * Loads what says which cells are visible and selected, and shows it.
 *
 * @param {Reader} reader
 * @param {Ui} ui
 */
async function loadCells(reader, { display }) {
  if (loaded.areCellsShown && areSourcesLoaded()) return;
  await loadNeeds(reader);
  reader.signal.throwIfAborted();
  loaded.areCellsShown = true;
  display.showFilters();
  display.updateCells();
}

/**
 * Loads what filters, groups and the selection need; those that fail at first are switched off.
 *
 * @param {Reader} reader
 */
async function loadNeeds(reader) {
  try {
    await loadSources(reader);
  } catch (error) {
    if (!loaded.wasShown && error instanceof SourcesError) markMissing(error.keys);
    const { filters, groups, lasso } = view;
    const isLost = (/** @type {Filter} */ filter) => filter.on && lacksSources(filter);
    const outlines = lasso.filter((outline) => !lacksSources(selectionExpression([outline])));
    const hasAllOutlines = outlines.length === lasso.length;
    doWithout(error, reader.signal, hasAllOutlines ? {} : { lasso: outlines }, [
      ...filters.filter(isLost).map((filter) =>
        `The filter "${describeFilter(filter, loaded.dataset, groups)}" is off.`),
      ...groups.filter(({ cells }) => lacksSources(cells)).map(({ name }) =>
        `The cells of the group "${name}" are not known.`),
      ...hasAllOutlines ? [] : ["An outline of the selection is left out."],
    ]);
    view.filters = filters.map((filter) => (isLost(filter) ? { ...filter, on: false } : filter));
    const offNow = view.filters.filter((filter) => !filters.includes(filter));
    loaded.lostFilters = [...loaded.lostFilters, ...offNow];
  }
}

/**
 * What a promise has; null if the page does without it.
 *
 * @template Contents
 * @param {Reader} reader
 * @param {Promise<Contents>} promise
 * @param {Partial<View>} change of the view to one without it
 * @param {string} line on this
 * @returns {Promise<Contents | null>}
 */
async function loadOptional(reader, promise, change, line) {
  try {
    return await promise;
  } catch (error) {
    doWithout(error, reader.signal, change, [line]);
    return null;
  }
}

/**
 * @param {Reader} reader
 * @param {Ui} ui
 */
async function loadVectors(reader, { display }) {
  if (!vectorField() || loaded.vectors) return;
  const reading = loaded.dataset.readVectors(reader, view.vectors, loaded.dimension);
  const vectors = await loadOptional(reader, reading, { vectors: "" }, "Vectors are off.");
  reader.signal.throwIfAborted();
  loaded.vectors = vectors;
  display.updateCells();
}

/**
 * @param {Reader} reader
 * @param {Ui} ui
 */
async function loadEdges(reader, { display }) {
  const { dataset } = loaded;
  if (!view.edges || loaded.edges || dataset.nEdges === 0) return;
  const reading = dataset.readEdges(reader, MAX_EDGES);
  const edges = await loadOptional(reader, reading, { edges: false }, "Edges are off.");
  reader.signal.throwIfAborted();
  loaded.edges = edges;
  display.updateCells();
}
