// The start of the page: connects the view, what is loaded for it, and what shows it.

import { copyLink, updateAddress, updateAddressSoon } from "./link/address.js";
import { Controls } from "./panels/controls.js";
import { Display } from "./display.js";
import { $, saveFile } from "./dom.js";
import { DEFAULT_VIEW } from "./link/link.js";
import {
  createReader, createServerReader, DEFAULT_SETTINGS, loadView, MAX_EDGES,
} from "./loading.js";
import { hideError, showCellStatus, showError, showNotice } from "./messages.js";
import { SelectionPanel } from "./panels/selection-panel.js";
import { columnSettings, loaded, published, view } from "./state.js";

const DEFAULT_POINT_SIZE = 3; // until there is a display that knows the number of cells
let display;
let loading = new AbortController();
let isIndexSettled = false; // whether the server has a gene index, or cannot have one

/** Loads and shows the view; aborts an earlier call that still loads. */
async function refresh() {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  published.ready = false;
  hideError();
  $("progress").hidden = false;
  try {
    display ??= new Display({
      changeAndLoad, changeVisibility, changeAppearance, addLasso, onCellsUpdated,
      onPictureStart: updateLinkSoon,
    });
    await loadView(signal, { display, controls, selectionPanel });
    await display.scatter.draw();
    if (signal.aborted) return;
    published.ready = true;
    showCellStatus();
    updateLink();
    explainMissingIndex(signal);
  } catch (error) {
    if (!signal.aborted) showError(error);
  }
  if (!signal.aborted) $("progress").hidden = true;
}

/** Says why genes are slow, once the server knows that it cannot have a gene index. */
async function explainMissingIndex(signal) {
  if (isIndexSettled) return;
  const info = createServerReader(signal, () => {}).readJson("_cellucid/info");
  const { index } = await info.catch(() => ({ index: {} })); // unknown; asks again next time
  isIndexSettled = !["waiting", "building", undefined].includes(index ? index.state : "none");
  if (index?.state !== "failed") return;
  $("index-note").textContent = `No gene index (${index.reason}): ${index.cost}.`;
  $("index-note").hidden = false;
}

function onCellsUpdated(nEdgesDrawn) {
  const { dataset, column, selectionMask, isVisible } = loaded;
  const isSample = nEdgesDrawn && dataset.nEdges > MAX_EDGES;
  controls.showEdgeSample(isSample ? nEdgesDrawn : null, dataset.nEdges);
  if (!selectionMask) {
    selectionPanel.hide();
    return;
  }
  const key = column?.isCategorical ? column.key : null;
  selectionPanel.show(selectionMask, isVisible ?? (() => true), key, published.dataset);
}

// ---------------------------------------------------------------------- what the user can change

/** Changes parts of the view for which something may have to be loaded. */
function changeAndLoad(change) {
  const isOtherColumn = "color" in change && change.color !== view.color;
  if (isOtherColumn) swapColumnSettings(change);
  if ("d" in change && change.d !== view.d) change.at = null;
  if ("vectors" in change && change.vectors !== view.vectors) loaded.vectors = null;
  Object.assign(view, change);
  controls.showView(view);
  if (loaded.dimension && !isOtherColumn) display.updateCells();
  refresh();
}

/** Changes which cells are visible; everything for it is loaded. */
function changeVisibility(change) {
  Object.assign(view, change);
  if (loaded.dimension) display.updateCells();
  if (published.ready) showCellStatus();
  updateLinkSoon();
}

/** Changes colors and sizes of cells; everything for it is loaded. */
function changeAppearance(change) {
  Object.assign(view, change);
  if (loaded.dimension) display.updateAppearance();
  updateLinkSoon();
}

function addLasso(lasso, add) {
  changeAndLoad({ lasso: add ? [...view.lasso, lasso] : [lasso] });
}

/** Keeps the filters and the scale of the old column, and adds those of the new one to `change`. */
function swapColumnSettings(change) {
  const { hide, outliers, range, log } = view;
  columnSettings.set(view.color, { hide, outliers, range, log });
  Object.assign(change, DEFAULT_SETTINGS, columnSettings.get(change.color));
}

function changeDataset(dataset) {
  const { theme, map, labels } = view;
  Object.assign(view, DEFAULT_VIEW, { dataset, theme, map, labels });
  reloadDataset();
}

/** Reads everything again: there may be a new export since the page was opened. */
function reloadDataset() {
  loaded.entry = null;
  refresh();
}

function applyTheme() {
  document.documentElement.dataset.theme = view.theme;
  display?.updateTheme();
}

async function savePicture() {
  if (!loaded.dimension) return;
  try {
    saveFile(...await display.createPicture(Number($("picture-scale").value)));
  } catch (error) {
    showNotice(error.message);
  }
}

const readViewpoint = () => display.scatter.camera.viewpoint;
const updateLink = () => updateAddress(readViewpoint);
const updateLinkSoon = () => updateAddressSoon(readViewpoint);

const controls = new Controls({
  changeAndLoad, changeAppearance, changeDataset, reloadDataset, applyTheme, savePicture,
  copyLink: () => {
    updateLink();
    return copyLink();
  },
  resetCamera: () => display?.scatter.camera.reset(),
  toggleLasso: () => display && (display.lasso.isActive = !display.lasso.isActive),
  pointSize: () => display?.pointSize ?? DEFAULT_POINT_SIZE,
});
const selectionPanel = new SelectionPanel({
  readField: (key) => {
    const { column, dataset, entry } = loaded;
    if (column?.isCategorical && column.key === key) return column;
    const { signal } = new AbortController(); // a later change of the view does not abort it
    return dataset.readColumn(createReader(entry, signal, () => {}), `obs:${key}`);
  },
  onClear: () => changeAndLoad({ lasso: [] }),
});
addEventListener("hashchange", () => location.reload()); // the user edited the address
applyTheme();
refresh();
