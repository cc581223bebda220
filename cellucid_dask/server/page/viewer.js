// The start of the page: connects the view, what is loaded for it, and what shows it.

import { changeView } from "./actions.js";
import {
  recordChange, recordShownView, redo, startHistory, takeBackChange, undo,
} from "./ask/history.js";
import { Display } from "./display.js";
import { forgetMissing } from "./data/sources.js";
import { $ } from "./dom.js";
import { copyLink, updateAddress, updateAddressSoon } from "./link/address.js";
import { takeFailure, wantedParts } from "./loading/failed-parts.js";
import { discardOldDataset } from "./loading/load-dataset.js";
import { MAX_EDGES } from "./loading/load-marks.js";
import { isViewLoaded, loadView } from "./loading/load-view.js";
import { createServerReader, readColumn } from "./loading/readers.js";
import { showAgain } from "./loading/show-loaded.js";
import { hideError, showCellStatus, showError, showNotice } from "./messages.js";
import { CompositionPanel } from "./panels/composition-panel.js";
import { Controls } from "./panels/controls.js";
import { CsvDialog } from "./panels/csv-dialog.js";
import { FigureDialog } from "./panels/figure-dialog.js";
import { FiltersPanel } from "./panels/filters-panel.js";
import { GroupsPanel } from "./panels/groups-panel.js";
import { addPins } from "./panels/pins.js";
import { SelectionPanel } from "./panels/selection-panel.js";
import { addSessionFiles } from "./panels/session-files.js";
import { addPanels } from "./panels/sheet.js";
import { forgetProgress } from "./progress.js";
import { isVisible, loaded, notify, plotKey, published, subscribe, view } from "./state.js";

const DEFAULT_POINT_SIZE = 3; // until there is a display that knows the number of cells
const LOOKS = ["labels", "size", "opacity", "range", "log", "map", "colors", "context"];
const SILENT = ["at", "theme", "pins"]; // parts for which nothing is drawn again
/** @typedef {import("./link/link.js").View} View */

/** @type {Display} */
let display; // made with the first view, so that its error is shown like those of loading
let loading = new AbortController();
let isIndexSettled = false; // whether the server has a gene index, or cannot have one
/** @type {typeof loaded | null} */
let shown = null; // what was loaded for the view that is shown, to go back to if another one fails
/** @type {View | null} */
let failedView = null; // what Retry asks for
let [isRetry, isGoingBack] = [false, false];

/** Loads and shows the view; aborts an earlier call that still loads. */
async function refresh() {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  published.ready = false;
  hideError();
  $("progress").hidden = false;
  try {
    display ??= new Display({ addLasso, onCellsUpdated, onPictureStart: updateLinkSoon });
    if (isRetry) await discardOldDataset(signal);
    isRetry = false;
    await loadView(signal, { display, controls });
    await display.scatter.draw();
    if (signal.aborted) return;
    display.finishOpening();
    published.ready = true;
    const failure = takeFailure();
    keepShown();
    if (failure) showError(failure);
    showCellStatus();
    updateLink();
    readServerInfo(signal);
  } catch (error) {
    if (signal.aborted) return;
    loading.abort(); // what else still loads
    forgetProgress();
    showError(error);
    goBackToShownView();
  }
  $("progress").hidden = true;
}

function keepShown() {
  loaded.wasShown = true;
  shown = { ...loaded };
  failedView = null;
  recordShownView();
}

/** After a failure: the picture, the legend and the controls are as they were. */
function goBackToShownView() {
  failedView = { ...view };
  if (!shown) return;
  isGoingBack = true;
  const failed = { ...loaded };
  Object.assign(loaded, shown);
  const parts = takeBackChange();
  showAgain(failed, { display, controls });
  notify("view", parts);
  isGoingBack = false;
  updateLink();
}

/** Asks again for the view that failed, or for what the page does without since it was opened. */
function retry() {
  const wanted = failedView ?? wantedParts();
  const isOther = (/** @type {[string, unknown]} */ [part, value]) =>
    value !== Reflect.get(view, part);
  const parts = Object.entries(wanted).filter(isOther).map(([part]) => part);
  const isOtherPlot = plotKey({ ...view, ...wanted }) !== plotKey(view);
  Object.assign(view, wanted);
  if (isOtherPlot && !failedView) view.at = loaded.viewpoints.get(plotKey(view)) ?? null;
  if (failedView) recordChange(parts);
  else {
    forgetMissing();
    Object.assign(loaded, {
      wasShown: false, groupsInColumn: null, areCellsShown: false, lostFilters: [], lostLabels: "",
    });
  }
  published.ready = false; // also loads what was loaded, if there is a new export
  isRetry = true;
  notify("view", parts);
}

/**
 * Says why genes are slow, once the server knows that it cannot have a gene index; and notes which
 * embeddings it knows that it cannot show.
 *
 * @param {AbortSignal} signal
 */
async function readServerInfo(signal) {
  if (isIndexSettled) return;
  const info = createServerReader(signal, () => {}).readJson("_cellucid/info");
  const { index, embeddings } = await info.catch(() => ({ index: {} })); // unknown; asks again next time
  loaded.dataset?.noteProblems(embeddings?.refused ?? {});
  isIndexSettled = !["waiting", "building", undefined].includes(index ? index.state : "none");
  if (index?.state !== "failed") return;
  $("index-note").textContent = `No gene index (${index.reason}): ${index.cost}.`;
  $("index-note").hidden = false;
}

/** @param {number | null} nEdgesDrawn null without edges */
function onCellsUpdated(nEdgesDrawn) {
  const { dataset, column, columnId, selectionMask } = loaded;
  const isSample = nEdgesDrawn && dataset.nEdges > MAX_EDGES;
  controls.showEdgeSample(isSample ? nEdgesDrawn : null, dataset.nEdges);
  if (!selectionMask) {
    selectionPanel.hide();
    return;
  }
  const key = column?.isCategorical && columnId.startsWith("obs:") ? column.key : null;
  selectionPanel.show(selectionMask, isVisible, key);
}

/** @param {string[]} parts that changed */
function onViewChange(parts) {
  controls.showView(view);
  if (isGoingBack) return;
  loaded.wanted = { ...loaded.wanted };
  for (const part of parts) Reflect.deleteProperty(loaded.wanted, part);
  if (parts.includes("theme")) applyTheme();
  if (parts.includes("vectors")) loaded.vectors = null;
  const plot = plotKey({ d: loaded.dimension, embedding: loaded.embedding });
  const isSameDataset = loaded.entry && loaded.entry.path === view.dataset;
  const isSamePlot = isSameDataset && plot === plotKey(view);
  if (loaded.dimension && !isSamePlot) loaded.viewpoints.set(plot, readViewpoint());
  if (parts.includes("at") && isSamePlot) display.scatter.camera.viewpoint = view.at;
  if (isSameDataset && loaded.dimension) showChange(parts);
  if (isViewLoaded()) finishChange();
  else refresh();
}

/**
 * Shows a change as far as what is loaded allows.
 *
 * @param {string[]} parts that changed
 */
function showChange(parts) {
  const isCovered = (/** @type {string[]} */ covered) => parts.every((part) => covered.includes(part));
  if (parts.includes("filters")) display.legend.showFilters();
  if (!parts.includes("color")) display.legend.showScale();
  if (isCovered(SILENT)) return;
  if (isCovered([...LOOKS, ...SILENT])) display.updateAppearance();
  else if (!parts.includes("color")) display.updateCells();
}

/** A change for which nothing has to be loaded; it ends what still loads for an earlier one. */
function finishChange() {
  if (!published.ready) {
    refresh();
    return;
  }
  keepShown();
  showCellStatus();
  updateLinkSoon();
}

/**
 * Selects the cells inside an outline, or takes them out of the selection; nothing changes if none
 * of them is visible.
 *
 * @param {import("./plot/lasso.js").DrawnLasso} outline
 * @param {import("./plot/lasso.js").Mode} mode
 */
function addLasso({ d, yaw, pitch, outline }, mode) {
  const lasso = { d, embedding: loaded.embedding, yaw, pitch, outline };
  const inside = display.maskOutline(lasso);
  const removes = mode === "remove";
  const selected = loaded.selectionMask;
  if (!inside.some((is, i) => is && isVisible(i) && (!removes || selected?.[i]))) {
    const kind = removes ? "selected" : "visible";
    showNotice(`No ${kind} cell inside the outline.`, { leaves: true });
  } else if (!removes) changeView({ lasso: mode === "add" ? [...view.lasso, lasso] : [lasso] });
  else {
    const isLeft = selected.some((is, i) => is && !inside[i]);
    changeView({ lasso: isLeft ? [...view.lasso, { ...lasso, removes }] : [] });
  }
}

function applyTheme() {
  document.documentElement.dataset.theme = view.theme;
  display?.updateTheme();
}

const readViewpoint = () => display.scatter.camera.viewpoint;
const updateLink = () => updateAddress(readViewpoint);
const updateLinkSoon = () => updateAddressSoon(readViewpoint);

const controls = new Controls({
  retry, applyTheme, undo, redo,
  copyLink: () => {
    updateLink();
    return copyLink();
  },
  resetCamera: () => display?.scatter.camera.reset(),
  fitVisible: () => display?.fitting.fitVisible(),
  zoomToSelection: () => display?.fitting.zoomToSelection(),
  showStrayCells: () => display?.fitting.showStrayCells(),
  toggleLasso: () => display && (display.lasso.isActive = !display.lasso.isActive),
  setLassoMode: (mode) => display && (display.lasso.mode = mode),
  pointSize: () => display?.pointSize ?? DEFAULT_POINT_SIZE,
});
const csvDialog = new CsvDialog();
const selectionPanel = new SelectionPanel({
  readField: (key) => readColumn(`obs:${key}`),
  onClear: () => changeView({ lasso: [] }),
  onDownload: () => csvDialog.open("selected"),
  onFilter: (keep) => {
    const filter = { kind: /** @type {const} */ ("selection"), lassos: view.lasso, keep, on: true };
    changeView({ filters: [...view.filters, filter], lasso: [] });
  },
});
new CompositionPanel(readColumn);
new FigureDialog({
  isReady: () => Boolean(loaded.dimension),
  layoutFigure: (options) => display.figure.layout(options),
  suggestHeight: (options) => display.figure.suggestHeight(options),
  createFigure: (options) => display.figure.create(options),
  showNotice,
});
const groupsPanel = new GroupsPanel((id) => csvDialog.open(`group:${id}`));
new FiltersPanel({ onNewGroup: (cells, name) => groupsPanel.add(cells, name) });
addPins();
addSessionFiles();
addPanels();
subscribe("dataset", () => selectionPanel.showFields([...loaded.dataset.categorical.keys()]));
subscribe("view", onViewChange);
startHistory();
addEventListener("hashchange", () => {
  if (!history.state) location.reload(); // edited by hand
});
applyTheme();
notify("history");
refresh();
