// Readers of what the server has: for the view, and for panels.

import { Reader } from "../data/reader.js";
import { loadColumn } from "../data/sources.js";
import { showProgress } from "../progress.js";
import { loaded } from "../state.js";

const ROOT = new URL("../../../", import.meta.url); // this file is at _cellucid/page/loading/

/**
 * Reader of the files of a dataset.
 *
 * @param {import("../state.js").Entry} entry
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
