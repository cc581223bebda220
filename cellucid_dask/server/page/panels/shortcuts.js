// The keyboard shortcuts: one table, by which the page listens to keys and lists them in a dialog.

import { createButton, createElement } from "../dom.js";

/** @typedef {[keys: string[], does: string, run?: () => void]} Shortcut */
/** @typedef {{title: string, shortcuts: Shortcut[]}} Section */

/** @typedef {"search" | "previousColor" | "nextColor" | "legend" | "filters" | "lasso"} Place */
/** @typedef {"fit" | "undo" | "redo" | "theme"} Change */
/**
 * @typedef {Record<Place | Change, () => void> & {dimension: (d: number) => void}} Actions
 */

/**
 * What other parts of the page listen to; here it is only listed.
 *
 * @type {Section[]}
 */
const OTHER_SECTIONS = [
  { title: "On the plot", shortcuts: [
    [["Arrow keys"], "Move, or rotate in 3D; with Shift, move in 3D"],
    [["+", "−"], "Zoom"],
    [["0"], "Reset the view"],
    [["Enter"], "With the lasso on, select all cells in view; with Shift, add them; with Alt, remove them"],
    [["Esc"], "Cancel an outline"],
  ] },
  { title: "In the legend", shortcuts: [
    [["↑", "↓"], "Go to another category"],
    [["Space"], "Hide or show the category"],
    [["Shift+Enter"], "Show only the category"],
  ] },
];
const ALL_DIMENSIONS = [1, 2, 3];
const STORAGE_KEY = "cellucid-single-keys";
const TYPED_INTO = "input:not([type='range'], [type='checkbox'], [type='radio'], [type='color']), "
  + "textarea, select, [contenteditable]";

/**
 * Name of the key of an event, as the table has it: "Ctrl+Shift+z", "l", "?"; "" if it has none.
 *
 * @param {KeyboardEvent} event
 */
function nameOfKey({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  const isLetter = /^[a-z]$/i.test(key);
  const isAltGraph = altKey && !isLetter; // on many keyboards brackets need it
  if (altKey && !isAltGraph) return "";
  const control = (ctrlKey || metaKey) && !isAltGraph ? "Ctrl+" : "";
  return control + (isLetter && shiftKey ? "Shift+" : "") + (isLetter ? key.toLowerCase() : key);
}

/** @type {WeakMap<EventTarget, string>} What fields had when they got the focus or were applied. */
const applied = new WeakMap();

/** @param {Event} event */
function noteApplied({ target }) {
  if (target instanceof HTMLInputElement) applied.set(target, target.value);
}

/**
 * Whether nothing was typed into a field since, so that it has nothing to undo itself.
 *
 * @param {Element} field
 */
const isUntouched = (field) => field instanceof HTMLSelectElement
  || (field instanceof HTMLInputElement
    && [field.defaultValue, applied.get(field)].includes(field.value));

export class Shortcuts {
  /** @param {Actions} actions */
  constructor(actions) {
    /** @type {Shortcut[]} */
    const shortcuts = [
      [["/"], "Search columns and genes", actions.search],
      [["["], "Color by the previous column", actions.previousColor],
      [["]"], "Color by the next column", actions.nextColor],
      [["l"], "Go to the legend", actions.legend],
      [["f"], "Go to the filters", actions.filters],
      [["s"], "Select with the lasso, or stop", actions.lasso],
      [["v"], "Fit the view to the visible cells", actions.fit],
      ...ALL_DIMENSIONS.map((d) => /** @type {Shortcut} */ (
        [[String(d)], `Show ${d} dimension${d > 1 ? "s" : ""}`, () => actions.dimension(d)])),
      [["t"], "Switch between light and dark", actions.theme],
      [["Ctrl+z"], "Undo", actions.undo],
      [["Ctrl+Shift+z", "Ctrl+y"], "Redo", actions.redo],
      [["?"], "Show or hide this list", () => this.toggleDialog()],
    ];
    this.runByKey = new Map(
      shortcuts.flatMap(([keys, , run]) => keys.map((key) => [key, run])));
    this.areSingleKeysOn = readSetting();
    this.dialog = this.#createDialog(shortcuts);
    document.body.append(this.dialog);
    addEventListener("keydown", (event) => this.#onKeyDown(event));
    for (const type of ["focusin", "change"]) addEventListener(type, noteApplied);
  }

  /** @param {KeyboardEvent} event */
  #onKeyDown(event) {
    const target = /** @type {Element} */ (event.target);
    if (event.defaultPrevented || event.isComposing) return;
    const name = nameOfKey(event);
    const field = target.closest?.(TYPED_INTO);
    if (field && !(name.startsWith("Ctrl+") && isUntouched(field))) return;
    const run = this.runByKey.get(name);
    const isOff = !this.areSingleKeysOn && !name.startsWith("Ctrl+");
    const isBehindDialog = document.querySelector("dialog:modal") !== null
      && !(this.dialog.open && name === "?");
    if (!run || isOff || isBehindDialog) return;
    event.preventDefault(); // else "/" is typed into the search box that gets the focus
    run();
  }

  /**
   * Lists only the keys of the dimensions that there are.
   *
   * @param {number[]} dimensions
   */
  showDimensions(dimensions) {
    const absent = ALL_DIMENSIONS.filter((d) => !dimensions.includes(d)).map(String);
    for (const key of this.dialog.querySelectorAll("dt")) {
      key.parentElement.hidden = absent.includes(key.textContent);
    }
  }

  toggleDialog() {
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  }

  /** @param {Shortcut[]} shortcuts those that work anywhere */
  #createDialog(shortcuts) {
    const dialog = createElement("dialog", "shortcuts");
    dialog.id = "shortcuts";
    dialog.setAttribute("aria-labelledby", "shortcuts-title");
    const title = Object.assign(createElement("h2", "", "Keyboard"), { id: "shortcuts-title" });
    const close = createButton("small-button", "", () => dialog.close(), "Close");
    const checkbox = Object.assign(createElement("input"), {
      type: "checkbox", id: "single-keys", checked: this.areSingleKeysOn,
    });
    checkbox.addEventListener("change", () => {
      this.areSingleKeysOn = checkbox.checked;
      writeSetting(checkbox.checked);
    });
    dialog.append(
      createElement("div", "heading", title, close),
      createElement("div", "shortcut-sections", createSection({ title: "Anywhere", shortcuts }),
        createElement("div", "", ...OTHER_SECTIONS.map(createSection))),
      createElement("label", "checkbox", checkbox, "Keys without Ctrl are shortcuts"));
    return dialog;
  }
}

/** @param {Section} section */
function createSection({ title, shortcuts }) {
  const rows = shortcuts.map(([keys, does]) => createElement("div", "shortcut",
    createElement("dt", "", ...keys.flatMap(createKeys)), createElement("dd", "", does)));
  const list = createElement("dl", "", ...rows);
  return createElement("section", "", createElement("h3", "", title), list);
}

/** A `kbd` element for each key that is pressed together: "Ctrl" and "Z" of "Ctrl+z". */
const createKeys = (/** @type {string} */ name) => name.split(/(?<=.)\+(?=.)/).map((part) =>
  createElement("kbd", "", part.length === 1 ? part.toUpperCase() : part));

function readSetting() {
  try {
    return localStorage.getItem(STORAGE_KEY) !== "off";
  } catch {
    return true; // a frame may not be allowed to store anything
  }
}

/** @param {boolean} isOn */
function writeSetting(isOn) {
  try {
    localStorage.setItem(STORAGE_KEY, isOn ? "on" : "off");
  } catch {
    // It holds until the page is closed.
  }
}
