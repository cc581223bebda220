// Changes of the view, which all parts of the page make here.

import { completeChange, recordChange } from "./ask/history.js";
import { DEFAULT_VIEW } from "./link/link.js";
import { loaded, notify, plotKey, view } from "./state.js";

/** Color scale of a column that has none of its own yet. */
const DEFAULT_SETTINGS = { range: DEFAULT_VIEW.range, log: DEFAULT_VIEW.log };

/**
 * Changes parts of the view; what is not loaded for it is loaded, and everything that shows the
 * view follows. The user can undo it; if it completes the last change, together with that one.
 *
 * @param {Partial<import("./link/link.js").View>} change
 * @param {{completesLast?: boolean}} [options]
 */
export function changeView(change, { completesLast = false } = {}) {
  const all = { ...change };
  if ("color" in change && change.color !== view.color) keepColumnSettings(all);
  const { d = view.d, embedding = view.embedding } = change;
  const isOtherPlot = d !== view.d || embedding !== view.embedding;
  if (isOtherPlot && !("at" in change)) all.at = loaded.viewpoints.get(plotKey({ d, embedding })) ?? null;
  const parts = Object.entries(all).filter(([part, value]) => !isShown(part, value)).map(([part]) => part);
  if (!parts.length) return;
  Object.assign(view, all);
  if (completesLast) completeChange();
  else recordChange(Object.keys(change));
  notify("view", parts);
}

/**
 * Whether the view has this value already: a click may ask for what is shown, such as All in a legend
 * of which nothing is hidden, and must not be a change to undo.
 *
 * @param {string} part of the view
 * @param {unknown} value
 */
function isShown(part, value) {
  const shown = Reflect.get(view, part);
  return value === shown
    || (["filters", "range"].includes(part) && JSON.stringify(value) === JSON.stringify(shown));
}

/**
 * Keeps the color scale of the old column, and adds that of the new one to `change`.
 *
 * @param {Partial<import("./link/link.js").View>} change
 */
function keepColumnSettings(change) {
  const { range, log } = view;
  loaded.columnSettings.set(view.color, { range, log });
  const settings = { ...DEFAULT_SETTINGS, ...loaded.columnSettings.get(change.color) };
  Object.assign(change, { ...settings, ...change }); // a session has its own
}

/**
 * Shows another dataset of the server, with the theme and the look of this one.
 *
 * @param {string} dataset path of it
 */
export function changeDataset(dataset) {
  const { theme, map, labels, context } = view;
  changeView({ ...DEFAULT_VIEW, dataset, theme, map, labels, context });
}
