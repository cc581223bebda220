// The panel of the selection: how many cells of each category, and what to do with them.

import { afterPress } from "./after-press.js";
import { fitNames } from "./category-row.js";
import { createSwatch } from "./swatch.js";
import { $, createElement, createName, formatCount, formatCountOf } from "../dom.js";

const MAX_COUNTS = 200; // categories in the list

/** @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn */
/**
 * What the panel asks for.
 *
 * @typedef {object} Actions
 * @property {(key: string) => Promise<CategoricalColumn>} readField of a categorical field
 * @property {() => void} onClear called when the user clears the selection
 * @property {() => void} onDownload called when the user downloads the selected cells
 * @property {(keep: boolean) => void} onFilter called when the user filters by the selection
 */

/** Shows the selection, while there is one. */
export class SelectionPanel {
  #hasSelection = false;
  /** @type {number[]} Rows of the selected cells that are visible, in order. */
  #rows = [];
  /** @type {CategoricalColumn} whose categories are counted */
  #column = null;
  #lastRequest = 0;
  #isFieldChosen = false; // whether the user chose a field to count by

  /** @param {Actions} actions */
  constructor({ readField, onClear, onDownload, onFilter }) {
    this.readField = readField;
    $("clear-selection").addEventListener("click", onClear);
    $("keep-selection").addEventListener("click", () => onFilter(true));
    $("hide-selection").addEventListener("click", () => onFilter(false));
    $("count-by").addEventListener("change", () => {
      this.#isFieldChosen = true;
      this.#updateCounts();
    });
    $("download-selection").addEventListener("click", onDownload);
  }

  /**
   * Lists the fields to count by.
   *
   * @param {string[]} keys
   */
  showFields(keys) {
    this.#isFieldChosen = false;
    $("count-by").replaceChildren(...keys.map((key) => new Option(key, key)));
    $("count-by-control").hidden = !keys.length;
  }

  hide() {
    this.#hasSelection = false;
    $("selection").hidden = true;
  }

  /**
   * Shows the cells that are in `mask` and visible; counts by `key`, unless the user chose.
   *
   * @param {Uint8Array} mask
   * @param {(i: number) => boolean} isVisible
   * @param {string | null} key
   */
  show(mask, isVisible, key) {
    this.#hasSelection = true;
    $("selection").hidden = false;
    this.#rows = [];
    for (let i = 0; i < mask.length; i++) if (mask[i] && isVisible(i)) this.#rows.push(i);
    const n = this.#rows.length;
    $("selection-size").textContent = `${formatCountOf(n, "cell")} selected`;
    for (const id of ["keep-selection", "hide-selection", "download-selection"]) $(id).disabled = !n;
    if (key && !this.#isFieldChosen) $("count-by").value = key;
    this.#updateCounts();
  }

  async #updateCounts() {
    const request = ++this.#lastRequest;
    const key = $("count-by").value;
    if (!key) return;
    const isCurrent = () => request === this.#lastRequest && this.#hasSelection;
    try {
      const column = await this.readField(key);
      if (!isCurrent()) return;
      this.#column = column;
      afterPress(this.#showCounts);
    } catch (error) {
      if (!isCurrent()) return;
      const text = `Could not load ${error.message}`;
      $("category-counts").replaceChildren(createElement("li", "note", text));
    }
  }

  #showCounts = () => {
    const column = this.#column;
    const counts = new Uint32Array(column.missingCode + 1);
    for (const i of this.#rows) counts[column.codes[i]]++;
    const selected = column.categories.filter(({ code }) => counts[code])
      .sort((a, b) => counts[b.code] - counts[a.code]);
    const items = selected.slice(0, MAX_COUNTS).map(({ name, code, cellCount }) => {
      const total = createElement("small", "", `of ${formatCount(cellCount)}`);
      return createElement("li", "category-count", createSwatch(column, code),
        createName("text", name),
        createElement("span", "number", formatCount(counts[code]), " ", total));
    });
    const more = selected.length - items.length;
    if (more) items.push(createElement("li", "note", `and ${formatCount(more)} more`));
    $("category-counts").replaceChildren(...items);
    fitNames(selected.slice(0, MAX_COUNTS).map((category, i) => [items[i], category]));
  };
}
