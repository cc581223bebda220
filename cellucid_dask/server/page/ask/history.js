// Undo and redo: each change of the view is an entry of the browser's history, so that its buttons
// Back and Forward do the same.

import { viewUrl } from "../link/address.js";
import { notify, plotKey, view, viewpoints } from "../state.js";

const SAME_CHANGE_MS = 1000; // changes of the same parts by the keyboard within this time are one
const MOVE_KEYS = /^(Arrow|Page|Home|End)/; // change a slider step by step
const NOT_UNDONE = ["at", "theme", "size", "opacity"];
const PAGE_LOAD = `${Date.now()}-${Math.random()}`; // entries of an earlier load have no snapshot

/** @type {import("../link/link.js").View[]} */
let snapshots = [];
let index = 0; // of the current entry
let lastParts = "";
let lastTime = 0;
let gesture = 0; // a drag is one change, however many parts of it the page shows
let lastGesture = -1;
let isPointerGesture = false;
let isLastDiscarded = false;

/** Begins the history with the view as it is. */
export function startHistory() {
  snapshots = [{ ...view }];
  index = 0;
  history.replaceState({ load: PAGE_LOAD, index }, "");
  addEventListener("popstate", (event) => restore(event.state));
  const beginGesture = (/** @type {boolean} */ isPointer) => {
    gesture++;
    isPointerGesture = isPointer;
  };
  addEventListener("pointerdown", () => beginGesture(true), true);
  addEventListener("keydown", ({ key }) => {
    if (isPointerGesture || !MOVE_KEYS.test(key)) beginGesture(false);
  }, true);
}

/**
 * Records that the user changed these parts of the view, after the change.
 *
 * @param {string[]} parts
 */
export function recordChange(parts) {
  const undone = parts.filter((part) => !NOT_UNDONE.includes(part));
  if (!undone.length || !snapshots.length) return;
  const now = performance.now();
  const isSame = undone.join() === lastParts && gesture === lastGesture && index > 0
    && (isPointerGesture || now - lastTime < SAME_CHANGE_MS);
  const mayReplace = isSame || isLastDiscarded;
  [lastParts, lastTime, lastGesture, isLastDiscarded] = [undone.join(), now, gesture, false];
  if (!mayReplace) {
    index++;
    snapshots.length = index;
    history.pushState({ load: PAGE_LOAD, index }, "", viewUrl());
  }
  snapshots[index] = { ...view };
  notify("history");
}

/** Keeps what loading added to the view, such as the dataset, so that an undo does not lose it. */
export function keepLoadedView() {
  if (snapshots.length) snapshots[index] = { ...view };
}

/** Keeps the view as it is now in place of the last change, which failed. */
export function discardLastChange() {
  keepLoadedView();
  isLastDiscarded = index > 0;
}

/** The last change, which failed, is asked for again: the next one does not replace it. */
export function keepLastChange() {
  isLastDiscarded = false;
}

export const canUndo = () => index > 0;
export const canRedo = () => index < snapshots.length - 1;
export const undo = () => canUndo() && history.back();
export const redo = () => canRedo() && history.forward();

/** @param {{load: string, index: number} | null} state */
function restore(state) {
  if (!state) return; // the user edited the address
  const wanted = state.load === PAGE_LOAD && snapshots[state.index];
  if (!wanted) {
    location.reload();
    return;
  }
  ({ index } = state);
  lastParts = "";
  const isSamePlot = plotKey(wanted) === plotKey(view);
  const isKept = (/** @type {string} */ part) =>
    NOT_UNDONE.includes(part) && (isSamePlot || part !== "at");
  const isLeft = wanted.dataset === view.dataset && viewpoints.has(plotKey(wanted));
  const at = isLeft ? viewpoints.get(plotKey(wanted)) : wanted.at;
  const change = Object.fromEntries(Object.entries({ ...wanted, at }).filter(([part, value]) =>
    !isKept(part) && value !== Reflect.get(view, part)));
  const parts = Object.keys(change);
  Object.assign(view, change);
  notify("history");
  notify("view", parts);
}
