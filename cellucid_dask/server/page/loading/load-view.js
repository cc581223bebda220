// Loads what the view needs and what is not loaded yet, and shows each part when it is there.

import { areSourcesLoaded } from "../data/sources.js";
import { loaded, view, wantedEntry } from "../state.js";
import { showProblems } from "./check-view.js";
import { loadCells } from "./load-cells.js";
import { areLabelsShown, isColumnShown, loadLabelColumn, loadShownColumn } from "./load-column.js";
import { loadDataset, loadEntries, loadFields } from "./load-dataset.js";
import { loadEdges, loadVectors, vectorField } from "./load-marks.js";
import { loadPoints } from "./load-points.js";
import { createReader } from "./readers.js";

/** Whether all that the view needs is loaded. */
export function isViewLoaded() {
  const { dataset, dimension, embedding, vectors, edges } = loaded;
  return Boolean(loaded.entries && dataset && loaded.entry === wantedEntry() && loaded.hasFields
    && dimension === view.d && embedding === view.embedding && isColumnShown()
    && areLabelsShown() && areSourcesLoaded() && (vectors || !vectorField())
    && (edges || !view.edges || dataset.nEdges === 0));
}

/**
 * Loads the view and shows it.
 *
 * After every wait it checks `signal`: a later change of the view aborts this one.
 *
 * @param {AbortSignal} signal
 * @param {import("./show-loaded.js").Ui} ui
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
