// What the page tells the user: the status line, the progress bar, notices and errors.

import { $, createElement, formatCount, formatCountOf, HAS_FINGERS } from "./dom.js";
import { loaded, published } from "./state.js";

const SUCCESS_MS = 4000; // how long a notice of success stays at least
const READING_MS = 70; // and for each of its characters
const MAX_LINES = 50; // of a list in a notice
const HINTS = { flat: "drag to move, scroll to zoom",
  deep: "drag to rotate, Shift-drag to move, scroll to zoom" };
const FINGER_HINTS = { flat: "drag to move, pinch to zoom",
  deep: "drag to rotate, pinch to zoom and move" };

/** Says how many cells are visible, and how to move or select them; with the lasso, how many are. */
export function showCellStatus() {
  const { drawn, nCells, dimension } = published;
  const part = drawn === nCells ? "" : `${formatCount(drawn)} of `;
  const hints = HAS_FINGERS.matches ? FINGER_HINTS : HINTS;
  const lassoHint = loaded.nSelected ? `${formatCountOf(loaded.nSelected, "cell")} selected`
    : "draw around cells to select them";
  const hint = $("lasso").ariaPressed === "true" ? lassoHint
    : hints[dimension === 3 ? "deep" : "flat"];
  $("status").replaceChildren(`${part}${formatCountOf(nCells, "cell")} in ${dimension}D`,
    createElement("span", "hint", ` · ${hint}`));
}

/**
 * Shows an error with a button to retry; `path` is that of the file of a LoadError.
 *
 * @param {{path?: string | null, status?: number | null, message: string}} error
 */
export function showError({ path = null, status = null, message }) {
  published.error = { path, status, message };
  $("error-message").textContent = path === null ? message : `Could not load ${message}`;
  $("error").hidden = false;
  $("status").textContent = "Loading failed.";
}

export function hideError() {
  published.error = null;
  $("error").hidden = true;
}

let leaving = 0;

/**
 * Shows a message that is no failure.
 *
 * @param {string} text
 * @param {{lines?: string[], leaves?: boolean}} [options] `lines` are listed below the text;
 *   `leaves` for a success, of which nothing has to be kept
 */
export function showNotice(text, { lines = [], leaves = false } = {}) {
  clearTimeout(leaving);
  const more = lines.length - MAX_LINES;
  const shown = more > 0 ? [...lines.slice(0, MAX_LINES), `and ${formatCount(more)} more`] : lines;
  const list = createElement("ul", "", ...shown.map((line) => createElement("li", "", line)));
  $("notice").firstElementChild.replaceChildren(
    createElement("p", "", text), ...lines.length ? [list] : []);
  $("notice").hidden = false;
  const stays = Math.max(SUCCESS_MS, READING_MS * text.length);
  if (leaves) leaving = setTimeout(() => { $("notice").hidden = true; }, stays);
}
