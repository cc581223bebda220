// What the panel of the composition lets the user choose: columns, cells and the order of the bars.

import { GROUP_COLUMN } from "../ask/groups.js";
import { listCellSets } from "../data/cell-sets.js";
import { $, cutMiddle } from "../dom.js";
import { isDetermined } from "../figure/composition.js";
import { loaded, view } from "../state.js";

/** @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn */
/** @typedef {import("../figure/composition.js").Composition} Composition */

const MAX_GOOD_BARS = 60; // of the column that the bars are of at first
const MAX_TRIED = 6; // columns that are read to find a good one
const MAX_NAME = 24; // characters of a category in a choice

export class CompositionChoices {
  /** @type {import("../data/dataset.js").Dataset | null} whose columns the lists have */
  #dataset = null;
  /** @type {HTMLSelectElement} */
  #bars = $("composition-bars");
  /** @type {HTMLSelectElement} */
  #split = $("composition-split");
  /** @type {HTMLSelectElement} */
  #cells = $("composition-cells");
  /** @type {HTMLSelectElement} */
  #order = $("composition-order");
  /** @type {HTMLSelectElement} */
  #show = $("composition-show");
  /** @type {HTMLButtonElement} */
  #reverse = $("composition-reverse");

  /**
   * @param {object} actions
   * @param {(ids: string[]) => Promise<CategoricalColumn[]>} actions.readColumns
   * @param {() => void} actions.onChange called after another choice of what to count, or to show
   * @param {() => void} actions.onReverse called after the order of the bars was reversed
   */
  constructor({ readColumns, onChange, onReverse }) {
    this.readColumns = readColumns;
    for (const select of [this.#bars, this.#split, this.#cells, this.#show, this.#order]) {
      select.addEventListener("change", onChange);
    }
    this.#reverse.addEventListener("click", () => {
      this.#reverse.ariaPressed = String(!this.isReversed);
      onReverse();
    });
  }

  /** Ids of the columns of the bars and of their parts; "" if there are none. */
  get columnIds() {
    return [this.#bars.value, this.#split.value];
  }

  /** The chosen set of cells; see cell-sets.js. */
  get cells() {
    return this.#cells.value;
  }

  get order() {
    return this.#order.value;
  }

  get isReversed() {
    return this.#reverse.ariaPressed === "true";
  }

  get isShare() {
    return this.#show.value === "share";
  }

  focus() {
    this.#bars.focus();
  }

  /**
   * Lists the columns and the sets of cells; what was chosen stays if it is still there.
   *
   * @returns {boolean} whether the columns are those of another dataset
   */
  list() {
    const keys = [...loaded.dataset.categorical.keys()];
    const columns = keys.map((key) => [key, `obs:${key}`]);
    if (view.groups.length) columns.push(["Groups", GROUP_COLUMN]);
    const isNew = this.#dataset !== loaded.dataset;
    this.#dataset = loaded.dataset;
    fillSelect(this.#bars, columns);
    fillSelect(this.#split, columns);
    if (isNew && columns.length) this.#chooseColumns(columns.map(([, id]) => id));
    fillSelect(this.#cells, listCellSets());
    return isNew && columns.length > 1;
  }

  /**
   * At first: split by what colors the cells, bars of another column with not too many categories.
   *
   * @param {string[]} ids
   */
  #chooseColumns(ids) {
    const useful = ids.filter((id) => id !== GROUP_COLUMN || view.groups.length > 1);
    const split = useful.find((id) => id === loaded.columnId) ?? useful.at(-1) ?? ids[0];
    const others = useful.filter((id) => id !== split);
    this.#split.value = split;
    this.#bars.value = others.find(hasGoodBars) ?? others[0] ?? split;
  }

  /** Takes bars of another column if the first choice says nothing, unless the user chose. */
  async improveBars() {
    const dataset = this.#dataset;
    const [first, split] = this.columnIds;
    const ids = [...this.#bars.options].map(({ value }) => value)
      .filter((id) => id !== split && hasGoodBars(id)).slice(0, MAX_TRIED);
    const isUnchanged = () => this.#dataset === dataset
      && this.#bars.value === first && this.#split.value === split;
    for (const id of ids) {
      const columns = await this.readColumns([id, split]).catch(/** @returns {null} */ () => null);
      if (!isUnchanged()) return;
      if (!columns || isDetermined(columns[0], columns[1])) continue;
      this.#bars.value = id;
      return;
    }
  }

  /**
   * Lists the orders of the bars.
   *
   * @param {Composition["splits"]} splits
   */
  listOrders(splits) {
    const shares = splits.filter(({ code }) => code !== null)
      .map(({ name, code }) => [`Share of ${cutMiddle(name, MAX_NAME)}`, `share:${code}`]);
    fillSelect(this.#order, [
      ["Order of the file", "file"], ["Name", "name"], ["Count", "count"], ...shares,
    ]);
  }

  get hasOrders() {
    return this.#order.length > 0;
  }
}

/**
 * Lists [text, value] pairs in a select; its value stays if it is still there.
 *
 * @param {HTMLSelectElement} select
 * @param {string[][]} options
 */
function fillSelect(select, options) {
  const { value } = select;
  const isSame = [...select.options].map((option) => option.value + option.text).join("\n")
    === options.map(([text, each]) => each + text).join("\n");
  if (isSame) return;
  select.replaceChildren(...options.map(([text, each]) => new Option(text, each)));
  if (options.some(([, each]) => each === value)) select.value = value;
}

/**
 * Whether a column has neither one category nor too many for bars.
 *
 * @param {string} id
 */
function hasGoodBars(id) {
  const n = loaded.dataset.categorical.get(id.slice("obs:".length))?.[1].length ?? 0;
  return n > 1 && n <= MAX_GOOD_BARS;
}
