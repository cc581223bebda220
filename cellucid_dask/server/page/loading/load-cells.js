// Loads what says which cells are visible and selected.

import { describeFilter } from "../ask/describe.js";
import { selectionExpression } from "../ask/groups.js";
import { areSourcesLoaded, lacksSources, loadSources, markMissing, SourcesError } from "../data/sources.js";
import { loaded, view } from "../state.js";
import { doWithout } from "./failed-parts.js";

/** @typedef {import("../data/reader.js").Reader} Reader */

/**
 * Loads what says which cells are visible and selected, and shows it.
 *
 * @param {Reader} reader
 * @param {import("./show-loaded.js").Ui} ui
 */
export async function loadCells(reader, { display }) {
  if (loaded.areCellsShown && areSourcesLoaded()) return;
  await loadNeeds(reader);
  reader.signal.throwIfAborted();
  loaded.areCellsShown = true;
  display.legend.showFilters();
  display.updateCells();
}

/**
 * Loads what filters, groups and the selection need; those that fail at first are switched off.
 *
 * @param {Reader} reader
 */
export async function loadNeeds(reader) {
  try {
    await loadSources(reader);
  } catch (error) {
    if (!loaded.wasShown && error instanceof SourcesError) markMissing(error.keys);
    const { filters, groups, lasso } = view;
    const isLost = (/** @type {import("../ask/filters.js").Filter} */ filter) => filter.on && lacksSources(filter);
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
