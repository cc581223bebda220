// Shows what is loaded: each part when it is there, and all of it again after another view failed.

import { $ } from "../dom.js";
import { loaded, notify, published, view } from "../state.js";

/**
 * What shows the view.
 *
 * @typedef {object} Ui
 * @property {import("../display.js").Display} display
 * @property {import("../panels/controls.js").Controls} controls
 */

/** @param {Ui} ui */
export function showDataset({ controls }) {
  const { identity, nCells } = loaded.dataset;
  Object.assign(published, { nCells, dataset: identity.id });
  controls.showDataset(loaded.dataset);
  controls.showView(view);
}

/** @param {Ui} ui */
export function showFields({ controls }) {
  controls.showFields(loaded.dataset);
  controls.showView(view);
  notify("dataset");
}

/** @param {Ui} ui */
export function showPoints({ display }) {
  published.dimension = loaded.dimension;
  display.showPoints(loaded.points, loaded.dimension);
}

/** @param {Ui} ui */
export function showColumn({ display }) {
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
  ui.display.legend.showFilters();
  ui.display.updateCells();
  ui.display.finishOpening();
}
