// The panel of the selection: how many cells of each category, and row numbers to download.

import { createSwatch } from "./swatch.js";
import { $, createElement, formatCount, saveFile } from "../dom.js";

const MAX_COUNTS = 200; // categories in the list

/** @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn */

/** Shows the selection, while there is one. */
export class SelectionPanel {
  #hasSelection = false;
  /** @type {number[]} */
  #rows = []; // numbers of the selected cells, from 0, in order
  #datasetId = "";
  #lastRequest = 0;
  #isFieldChosen = false; // whether the user chose a field to count by

  /** @param {{readField: (key: string) => Promise<any>, onClear: () => void,
   *   onFilter: (keep: boolean) => void}} actions `readField` gives the column of a categorical field;
   *   the others are called when the user clears the selection or filters by it */
  constructor({ readField, onClear, onFilter }) {
    this.readField = readField;
    $("clear-selection").addEventListener("click", onClear);
    $("keep-selection").addEventListener("click", () => onFilter(true));
    $("hide-selection").addEventListener("click", () => onFilter(false));
    $("count-by").addEventListener("change", () => {
      this.#isFieldChosen = true;
      this.#updateCounts();
    });
    $("download-rows").addEventListener("click", () => this.#downloadRows());
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
   * @param {string} datasetId
   */
  show(mask, isVisible, key, datasetId) {
    this.#hasSelection = true;
    this.#datasetId = datasetId;
    $("selection").hidden = false;
    this.#rows = [];
    for (let i = 0; i < mask.length; i++) if (mask[i] && isVisible(i)) this.#rows.push(i);
    const n = this.#rows.length;
    $("selection-size").textContent = `${formatCount(n)} cell${n === 1 ? "" : "s"} selected`;
    $("download-rows").disabled = !n;
    if (key && !this.#isFieldChosen) $("count-by").value = key;
    this.#updateCounts();
  }

  async #updateCounts() {
    const request = ++this.#lastRequest;
    const key = $("count-by").value;
    if (!key) return;
    const column = await Promise.resolve(this.readField(key)).catch((error) => ({ error }));
    if (request !== this.#lastRequest || !this.#hasSelection) return;
    if (column.error) {
      const text = `Could not load ${column.error.message}`;
      $("category-counts").replaceChildren(createElement("li", "note", text));
      return;
    }
    this.#showCounts(column);
  }

  /** @param {CategoricalColumn} column */
  #showCounts(column) {
    const counts = new Uint32Array(column.missingCode + 1);
    for (const i of this.#rows) counts[column.codes[i]]++;
    const selected = column.categories.filter(({ code }) => counts[code])
      .sort((a, b) => counts[b.code] - counts[a.code]);
    const items = selected.slice(0, MAX_COUNTS).map(({ name, code, cellCount }) => {
      const total = createElement("small", "", `of ${formatCount(cellCount)}`);
      return createElement("li", "category-count", createSwatch(column, code),
        createElement("span", "text", name),
        createElement("span", "number", formatCount(counts[code]), " ", total));
    });
    const more = selected.length - items.length;
    if (more) items.push(createElement("li", "note", `and ${formatCount(more)} more`));
    $("category-counts").replaceChildren(...items);
  }

  #downloadRows() {
    const text = `${this.#rows.join("\n")}\n`;
    saveFile(new Blob([text], { type: "text/plain" }), `${this.#datasetId}-rows.txt`);
  }
}
