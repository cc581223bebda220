// The search box that chooses what the cells are colored by: obs columns, genes and their symbols.

import { Combobox } from "./combobox.js";
import { addRecentColumn, readRecentColumns } from "../data/recent-columns.js";
import { ColumnIndex, createColumnIndex } from "../data/search-columns.js";

/** @type {import("../data/search-columns.js").Columns} */
const NO_COLUMNS = { categories: [], values: [], genes: [] };

export class ColorSearch {
  #index = new ColumnIndex(NO_COLUMNS);
  #datasetId = "";
  #value = "";

  /**
   * Fills `container`; calls `onChoose` with a column id, "" for none, when the user chooses one.
   *
   * @param {HTMLElement} container
   * @param {{onChoose: (columnId: string) => void}} actions
   */
  constructor(container, { onChoose }) {
    this.combobox = new Combobox(container, {
      id: "color-search",
      label: "Color by",
      search: (text) => this.#index.search(text, {
        recent: readRecentColumns(this.#datasetId), hasNone: true,
      }),
      onChoose: (columnId) => {
        addRecentColumn(this.#datasetId, columnId);
        onChoose(columnId);
      },
    });
    this.onChoose = onChoose;
    this.clear();
  }

  /** Until the columns of a dataset are known. */
  clear() {
    this.#index = new ColumnIndex(NO_COLUMNS);
    this.combobox.close();
    this.combobox.input.disabled = true;
    this.combobox.input.placeholder = "";
    this.value = "";
  }

  /**
   * Lists the columns of a dataset.
   *
   * @param {import("../data/dataset.js").Dataset} dataset
   */
  show(dataset) {
    const { identity } = dataset;
    this.#datasetId = identity.id;
    this.#index = createColumnIndex(dataset);
    this.combobox.input.disabled = false;
    this.combobox.input.placeholder =
      identity.stats.n_genes ? "Search columns and genes" : "Search columns";
    this.value = this.#value;
  }

  /** The column id of the column that is shown. */
  set value(/** @type {string} */ columnId) {
    this.#value = columnId;
    this.combobox.show(columnId, columnId && this.#index.describe(columnId));
  }

  /**
   * Lists the groups of cells as a column, if there are any.
   *
   * @param {string} columnId
   * @param {number} count
   */
  showGroups(columnId, count) {
    this.#index.setGroups(columnId, count);
  }

  /**
   * Chooses the next column of the list, or the one before; genes that were used lately follow.
   *
   * @param {1 | -1} step
   */
  step(step) {
    const recent = readRecentColumns(this.#datasetId).filter((id) => id.startsWith("gene:"));
    const ids = [...this.#index.columnIds, ...recent.filter((id) => this.#index.has(id))];
    if (!ids.length) return;
    const at = ids.indexOf(this.#value);
    const next = at < 0 && step < 0 ? ids.length - 1 : at + step;
    this.onChoose(ids[(next + ids.length) % ids.length]);
  }

  focus() {
    this.combobox.focus();
  }
}
