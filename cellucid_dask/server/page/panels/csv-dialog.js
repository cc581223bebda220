// The dialog that downloads cells as a CSV file: which cells, and which columns.

import { columnName } from "../ask/describe.js";
import { GROUP_COLUMN } from "../ask/groups.js";
import { countOnes } from "../ask/masks.js";
import { CellIds } from "../data/cell-ids.js";
import { createSetMask, listCellSets } from "../data/cell-sets.js";
import { createCellsCsv } from "../data/cells-csv.js";
import { splitColumnId } from "../data/column-id.js";
import { createColumnIndex } from "../data/search-columns.js";
import { loadSources } from "../data/sources.js";
import { $, createButton, createElement, formatCount, formatCountOf, saveFile } from "../dom.js";
import { createReader, readColumn } from "../loading/readers.js";
import { loaded, subscribe, view } from "../state.js";
import { Combobox } from "./combobox.js";

/** Opens for the visible cells, the selected ones, or a group. */
export class CsvDialog {
  /** @type {import("../data/search-columns.js").ColumnIndex} Of the dataset; made when needed. */
  #index = null;
  /** @type {CellIds} */
  #ids = null;
  /** @type {string[]} Ids of the columns in the file. */
  #columnIds = [];
  #work = new AbortController(); // ends when the dialog closes

  constructor() {
    this.search = new Combobox($("csv-add"), {
      id: "csv-search",
      label: "Add a column",
      search: (text) => this.#search(text),
      onChoose: (columnId) => {
        if (!this.#columnIds.includes(columnId)) this.#columnIds.push(columnId);
        this.#showColumns();
      },
    });
    this.search.input.placeholder = "Search columns and genes";
    $("csv-button").addEventListener("click", () => this.open("visible"));
    $("csv-cells").addEventListener("change", () => this.#update());
    $("csv-cancel").addEventListener("click", () => $("csv-dialog").close());
    $("csv-save").addEventListener("click", () => this.#save());
    $("csv-dialog").addEventListener("close", () => this.#work.abort());
    subscribe("dataset", () => {
      $("csv-dialog").close();
      this.#index = null;
    });
  }

  /** @param {string} cells a set of cells, as `listCellSets` has it */
  open(cells) {
    if (!loaded.hasFields) return;
    this.#work = new AbortController();
    this.#ids = new CellIds(loaded.dataset);
    const columnIds = [view.color, ...view.pins].filter(Boolean);
    this.#columnIds = [...new Set(columnIds)];
    $("csv-cells").replaceChildren(
      ...listCellSets().map(([name, value]) => new Option(name, value)));
    $("csv-cells").value = cells;
    $("csv-choices").inert = false;
    $("csv-ids-control").hidden = !this.#ids.areKnown;
    $("csv-ids").checked = this.#ids.areKnown;
    this.#showColumns();
    this.#update();
    $("csv-dialog").showModal();
  }

  /** @param {string} text */
  #search(text) {
    this.#index ??= createColumnIndex(loaded.dataset);
    this.#index.setGroups(GROUP_COLUMN, view.groups.length);
    return this.#index.search(text);
  }

  #showColumns() {
    $("csv-columns").replaceChildren(...this.#columnIds.map((columnId) => {
      const name = columnName(columnId, loaded.dataset);
      const drop = createButton("small-button", `Leave out ${name}`, () => {
        this.#columnIds = this.#columnIds.filter((each) => each !== columnId);
        this.#showColumns();
        this.search.input.focus();
      }, "×");
      return createElement("li", "filter-chip", createElement("span", "text", name), drop);
    }));
    const caveats = [this.#describeRounding(), this.#describeGroups()].filter(Boolean).join(" ");
    $("csv-caveats").textContent = caveats;
    $("csv-caveats").hidden = !caveats;
  }

  /** Says which group a cell of several has, as a table does not show the others. */
  #describeGroups() {
    return this.#columnIds.includes(GROUP_COLUMN) && view.groups.length > 1
      ? "A cell of several groups has the name of the last of them." : "";
  }

  /** Says which columns do not have the numbers of the file, as a table does not show it. */
  #describeRounding() {
    const { dataset } = loaded;
    /** @type {Map<number, string[]>} */
    const names = new Map();
    for (const columnId of this.#columnIds) {
      const nSteps = dataset.countSteps(columnId);
      if (nSteps) names.set(nSteps, [...names.get(nSteps) ?? [], columnName(columnId, dataset)]);
    }
    const parts = [...names].map(([nSteps, all]) =>
      `${all.join(", ")} in ${formatCount(nSteps)} steps from the lowest to the highest`);
    return parts.length ? `Numbers are rounded, as this dataset has them: ${parts.join("; ")}.` : "";
  }

  /** A reader that stops when the dialog closes. */
  #createReader() {
    return createReader(loaded.entry, this.#work.signal, () => {});
  }

  /** Says how many rows the file will have. */
  async #update() {
    const { signal } = this.#work;
    $("csv-save").disabled = true;
    await this.#attempt(signal, async () => {
      const group = view.groups.find(({ id }) => $("csv-cells").value === `group:${id}`);
      await loadSources(this.#createReader(), group ? [group.cells] : []);
      signal.throwIfAborted();
      const mask = createSetMask($("csv-cells").value);
      const n = mask ? countOnes(mask) : loaded.dataset.nCells;
      $("csv-note").textContent = formatCountOf(n, "row");
      $("csv-save").disabled = !n;
    });
  }

  async #save() {
    const { signal } = this.#work;
    const fileName = `${loaded.dataset.identity.id}-${this.#nameOfCells()}.csv`;
    $("csv-choices").inert = $("csv-save").disabled = true;
    const blob = await this.#attempt(signal, () => this.#write(signal));
    if (signal.aborted) return;
    $("csv-choices").inert = $("csv-save").disabled = false;
    if (!blob) return;
    saveFile(blob, fileName);
    $("csv-dialog").close();
  }

  /** "visible", "selected", or the name of the group. */
  #nameOfCells() {
    const { value } = $("csv-cells");
    return view.groups.find(({ id }) => value === `group:${id}`)?.name ?? value;
  }

  /** @param {AbortSignal} signal */
  async #write(signal) {
    const [reader, ids, { dataset }] = [this.#createReader(), this.#ids, loaded];
    const mask = createSetMask($("csv-cells").value);
    $("csv-note").textContent = "Loading the columns…";
    const columns = await Promise.all(this.#columnIds.map(async (id) => {
      const key = id === GROUP_COLUMN ? "group" : splitColumnId(id)[1];
      return { id, key, column: await readColumn(id) };
    }));
    signal.throwIfAborted();
    const readIds = $("csv-ids").checked
      ? (/** @type {number} */ from, /** @type {number} */ to) => ids.readRange(reader, from, to)
      : null;
    return createCellsCsv({ nCells: dataset.nCells, mask, readIds, columns }, signal, (share) => {
      $("csv-note").textContent = `Writing the file: ${Math.round(100 * share)}%`;
    });
  }

  /**
   * The result of an action; null if it failed, which the dialog then says.
   *
   * @template Result
   * @param {AbortSignal} signal
   * @param {() => Promise<Result>} action
   * @returns {Promise<Result | null>}
   */
  async #attempt(signal, action) {
    try {
      return await action();
    } catch (error) {
      if (!signal.aborted) $("csv-note").textContent = `Could not load ${error.message}`;
      return null;
    }
  }
}
