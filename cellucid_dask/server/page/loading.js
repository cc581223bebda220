// Loads what the view needs and what is not loaded yet, and shows each part when it is there.

import { removeToken } from "./link/address.js";
import { createSelectionMask } from "./color/appearance.js";
import { Dataset, splitColumnId } from "./data/dataset.js";
import { $ } from "./dom.js";
import { DEFAULT_VIEW } from "./link/link.js";
import { showNotice, showProgress } from "./messages.js";
import { Reader } from "./data/reader.js";
import { loaded, published, resetLoaded, view, wantedEntry } from "./state.js";

const ROOT = new URL("../../", import.meta.url); // this file is at _cellucid/page/loading.js
export const MAX_EDGES = 1_000_000; // of more, the page draws an even sample

/** Filters and scale of a column that has none of its own yet. */
export const DEFAULT_SETTINGS = {
  hide: DEFAULT_VIEW.hide, outliers: DEFAULT_VIEW.outliers,
  range: DEFAULT_VIEW.range, log: DEFAULT_VIEW.log,
};

/** Reader of the files of a dataset. */
export const createReader = (entry, signal, onProgress = showProgress) =>
  new Reader(new URL(`.${entry.path}`, ROOT), signal, onProgress);

/** Reader of the files of the server. */
export const createServerReader = (signal, onProgress = showProgress) =>
  new Reader(ROOT, signal, onProgress);

/**
 * Loads the view and shows it with `ui`, {display, controls, selectionPanel}.
 *
 * After every wait it checks `signal`: a later change of the view aborts this one.
 */
export async function loadView(signal, ui) {
  if (!loaded.entries) await loadEntries(signal, ui);
  const entry = wantedEntry();
  const reader = createReader(entry, signal);
  if (loaded.entry !== entry) await loadDataset(reader, entry, ui);
  const fields = loaded.hasFields ? null : loadFields(reader, ui);
  await Promise.all([loadPoints(reader, ui), fields?.all, loadColumn(reader, fields, ui)]);
  await loadOutliers(reader, ui);
  await loadSelection(reader, ui);
  await loadVectors(reader, ui);
  await loadEdges(reader, ui);
}

async function loadEntries(signal, { controls }) {
  const list = await createServerReader(signal).readJson("_cellucid/datasets");
  // Beside the hosted page the list has no paths: the files of its one dataset are at the root.
  const datasets = list.datasets.map((entry) => ({ path: "/", ...entry }));
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
    showNotice(`This server has no dataset "${view.dataset}". The page shows "${entry.name}".`);
  }
  view.dataset = entry.path; // not the id, which two datasets may share
  controls.showEntries(datasets);
}

async function loadDataset(reader, entry, ui) {
  resetLoaded();
  ui.display.clear();
  ui.selectionPanel.hide();
  ui.controls.clear(entry.name);
  const identity = await reader.readJson("dataset_identity.json");
  reader.signal.throwIfAborted();
  Object.assign(loaded, { dataset: new Dataset(identity), entry });
  showDataset(ui);
}

function showDataset({ controls }) {
  const { identity, nCells, vectorFields } = loaded.dataset;
  const { available_dimensions: dimensions, default_dimension: defaultDimension } =
    identity.embeddings;
  Object.assign(published, { nCells, dataset: identity.id });
  if (!dimensions.includes(view.d)) {
    if (view.d) {
      showNotice(`This dataset has no ${view.d}D embedding. The page shows ${defaultDimension}D.`);
    }
    Object.assign(view, { d: defaultDimension, at: null });
  }
  view.lasso = view.lasso.filter(({ d }) => dimensions.includes(d));
  if (!Object.hasOwn(vectorFields, view.vectors)) view.vectors = "";
  controls.showDataset(loaded.dataset);
  controls.showView(view);
}

/** Promises: `obs` of the fields of obs, and `all` of these and the genes. */
function loadFields(reader, { controls, selectionPanel }) {
  const { dataset } = loaded;
  const obs = dataset.readFields(reader);
  const all = Promise.all([obs, dataset.readGenes(reader)]).then(() => {
    reader.signal.throwIfAborted();
    chooseColumn();
    controls.showFields(dataset);
    selectionPanel.showFields([...dataset.categorical.keys()]);
    controls.showView(view);
    loaded.hasFields = true;
  });
  for (const promise of [obs, all]) promise.catch(() => {}); // whoever awaits them shows the error
  return { obs, all };
}

async function loadPoints(reader, { display }) {
  if (loaded.dimension === view.d) return;
  const points = await loaded.dataset.readPoints(reader, view.d);
  reader.signal.throwIfAborted();
  loaded.dimension = published.dimension = view.d;
  loaded.vectors = null;
  display.scatter.setPoints(points, view.d);
  display.scatter.camera.viewpoint = view.at;
  display.updateCells(); // before the fields, which may take a while with live data
}

/** Runs while the points load; waits for the list of genes only if the column is a gene. */
async function loadColumn(reader, fields, ui) {
  const isGene = splitColumnId(view.color ?? "")[0] === "gene";
  await (isGene ? fields?.all : fields?.obs);
  reader.signal.throwIfAborted();
  chooseColumn();
  const isLoaded = loaded.columnId === view.color;
  $("legend").inert = !isLoaded; // until then it is the legend of the previous column
  if (isLoaded) return;
  try {
    const column = view.color ? await loaded.dataset.readColumn(reader, view.color) : null;
    reader.signal.throwIfAborted();
    showColumn(view.color, column, ui);
  } catch (error) {
    if (!reader.signal.aborted) showColumn(null, null, ui); // the cells stay, without colors
    throw error;
  }
}

function showColumn(columnId, column, { display }) {
  Object.assign(loaded, { columnId, column, outliers: null, hidden: new Set(view.hide) });
  display.updateColumn();
}

/** If the view has no column, or one that does not exist: takes the first useful one. */
function chooseColumn() {
  const { dataset } = loaded;
  const [kind, key] = splitColumnId(view.color ?? "");
  if (kind === "gene" && !dataset.genes) return; // not loaded yet
  if (view.color !== null && !dataset.hasColumn(view.color)) {
    const noun = { obs: "obs column", gene: "gene" }[kind] ?? "obs column or gene";
    showNotice(`This dataset has no ${noun} "${key || view.color}". Choose another one.`);
    Object.assign(view, DEFAULT_SETTINGS, { color: null });
  }
  const fields = [...dataset.categorical.values()];
  const useful = fields.find(([, { length }]) => length > 1 && length < 255);
  view.color ??= useful ? `obs:${useful[0]}` : "";
}

async function loadOutliers(reader, { display }) {
  const { dataset, column } = loaded;
  if (!column?.isCategorical || view.outliers === 1) return;
  if (!dataset.hasOutliers || loaded.outliers) return;
  const outliers = await dataset.readOutliers(reader, column.key);
  reader.signal.throwIfAborted();
  loaded.outliers = outliers;
  display.updateCells();
}

async function loadSelection(reader, { display }) {
  const { dataset } = loaded;
  const { lasso } = view;
  if (lasso === loaded.lasso) return;
  const readPoints = (d) => dataset.readPoints(reader, d);
  const mask = await createSelectionMask(dataset.nCells, lasso, readPoints);
  reader.signal.throwIfAborted();
  loaded.lasso = lasso;
  loaded.selectionMask = mask;
  display.updateCells();
}

async function loadVectors(reader, { display }) {
  const { dataset, dimension } = loaded;
  const field = dataset.vectorFields[view.vectors];
  if (!field?.available_dimensions.includes(dimension) || loaded.vectors) return;
  const vectors = await dataset.readVectors(reader, view.vectors, dimension);
  reader.signal.throwIfAborted();
  loaded.vectors = vectors;
  display.updateCells();
}

async function loadEdges(reader, { display }) {
  const { dataset } = loaded;
  if (!view.edges || loaded.edges || !dataset.nEdges) return;
  const edges = await dataset.readEdges(reader, MAX_EDGES);
  reader.signal.throwIfAborted();
  loaded.edges = edges;
  display.updateCells();
}
