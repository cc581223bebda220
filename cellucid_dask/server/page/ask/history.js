// Undo and redo: each view that was shown is an entry of the browser's history, so that its buttons
// Back and Forward do the same. As in a browser, a change gets its entry when it is loaded, not
// when the user asks for it: one that fails leaves no entry, and what could be redone stays.

import { viewUrl } from "../link/address.js";
import { loaded, notify, plotKey, view } from "../state.js";

/** @typedef {import("../link/link.js").View} View */

const SAME_CHANGE_MS = 1000; // changes of the same parts by the keyboard within this time are one
const MOVE_KEYS = /^(Arrow|Page|Home|End)/; // change a slider step by step
const NOT_UNDONE = ["at", "theme", "size", "opacity"];
const PAGE_LOAD = `${Date.now()}-${Math.random()}`; // entries of an earlier load have no snapshot

/** @type {View[]} The view of each entry, as it was shown. */
let snapshots = [];
let index = 0; // of the browser's entry
let shownIndex = -1; // of the entry that is shown: another one while Back or Forward loads
let isMoving = false; // whether the browser was asked for another entry, and has not gone there yet
let stepsAfter = 0; // what the user asked for meanwhile
let isNew = false; // whether the view has a change that loads and has no entry yet
let isCompleted = false; // whether a change that loads belongs to the entry before it
let lastParts = "";
let lastTime = 0;
let gesture = 0; // a drag is one change, however many parts of it the page shows
let lastGesture = -1;
let isPointerGesture = false;

/** Begins the history; its first entry is the first view that is shown. */
export function startHistory() {
  history.replaceState({ load: PAGE_LOAD, index }, "");
  addEventListener("popstate", (event) => goTo(event.state));
  const beginGesture = (/** @type {boolean} */ isPointer) => {
    gesture++;
    isPointerGesture = isPointer;
  };
  addEventListener("pointerdown", () => beginGesture(true), true);
  addEventListener("drop", () => beginGesture(false), true); // from outside the page
  addEventListener("keydown", ({ key }) => {
    if (isPointerGesture || !MOVE_KEYS.test(key)) beginGesture(false);
  }, true);
}

/**
 * Records that the user changed these parts of the view, after the change and before it is shown.
 *
 * @param {string[]} parts
 */
export function recordChange(parts) {
  const undone = parts.filter((part) => !NOT_UNDONE.includes(part));
  if (!undone.length || shownIndex < 0) return;
  const now = performance.now();
  const isSame = undone.join() === lastParts && gesture === lastGesture && index > 0
    && (isPointerGesture || now - lastTime < SAME_CHANGE_MS);
  [lastParts, lastTime, lastGesture] = [undone.join(), now, gesture];
  isNew ||= !isSame;
  notify("history");
}

/** Records that a change belongs to the last one, instead of `recordChange`. */
export function completeChange() {
  isCompleted = true;
}

/** Records that the view is shown, with all that loading added to it. */
export function recordShownView() {
  if (isNew) {
    index++;
    snapshots.length = index;
    history.pushState({ load: PAGE_LOAD, index }, "", viewUrl());
  } else if (isCompleted) history.replaceState(history.state, "", viewUrl());
  snapshots[index] = { ...view };
  shownIndex = index;
  isNew = isCompleted = false;
  notify("history");
}

/**
 * Takes back a change that failed: the view is again what is shown, and so is the browser's entry.
 *
 * @returns {string[]} the parts of the view that this changed
 */
export function takeBackChange() {
  const parts = restore(snapshots[shownIndex]);
  if (index !== shownIndex) move(shownIndex - index); // Back or Forward failed
  index = shownIndex;
  return parts;
}

export const canUndo = () => index > 0 || isNew;
export const canRedo = () => index < snapshots.length - 1;

/** Takes back the last change; one that still loads has no entry yet. */
export function undo() {
  if (isNew) notify("view", restore(snapshots[index]));
  else if (canUndo()) move(-1);
}

export const redo = () => canRedo() && move(1);

/** Whether an undo or redo is under way, which the browser tells a little later. */
export const isHistoryMoving = () => isMoving;

/**
 * Moves in the browser's history, which goes there after this task; further steps wait for it, as
 * only then it is known whether there is an entry of the page.
 *
 * @param {number} steps
 */
function move(steps) {
  if (isMoving) {
    stepsAfter += steps;
    return;
  }
  isMoving = true;
  history.go(steps);
}

/** Takes the steps that the user asked for while the browser moved, as far as there are entries. */
function moveOn() {
  const to = Math.min(snapshots.length - 1, Math.max(0, index + stepsAfter));
  stepsAfter = 0;
  if (to !== index) move(to - index);
}

/** @param {{load: string, index: number} | null} state of the entry that the browser went to */
function goTo(state) {
  if (!state) return; // the user edited the address
  const wanted = state.load === PAGE_LOAD && snapshots[state.index];
  if (!wanted) {
    location.reload();
    return;
  }
  isMoving = false;
  if (state.index !== index) { // else it is where a change was taken back to
    ({ index } = state);
    notify("view", restore(wanted));
  }
  moveOn();
}

/**
 * Makes the view a recorded one; without the parts that are not undone, if the plot is the same.
 *
 * @param {View} wanted
 * @returns {string[]} the parts that this changed
 */
function restore(wanted) {
  isNew = false;
  lastParts = "";
  const isSamePlot = wanted.dataset === view.dataset && plotKey(wanted) === plotKey(view);
  const isKept = (/** @type {string} */ part) =>
    NOT_UNDONE.includes(part) && (isSamePlot || part !== "at");
  const isLeft = wanted.dataset === loaded.entry?.path && loaded.viewpoints.has(plotKey(wanted));
  const at = isLeft ? loaded.viewpoints.get(plotKey(wanted)) : wanted.at;
  const change = Object.fromEntries(Object.entries({ ...wanted, at }).filter(([part, value]) =>
    !isKept(part) && value !== Reflect.get(view, part)));
  Object.assign(view, change);
  notify("history");
  return Object.keys(change);
}
