// The legend of a categorical column: hides, finds, orders and highlights its categories, and filters
// outliers.

import { changeView } from "../actions.js";
import { columnOfFilter } from "../ask/filters.js";
import { createFilterMask } from "../ask/masks.js";
import { N_COLORS } from "../color/palette.js";
import { countCodes } from "../data/code-counts.js";
import { areSourcesLoaded, createSources } from "../data/sources.js";
import { createButton, createElement, formatCount, formatCountOf, HAS_FINGERS } from "../dom.js";
import { loaded, subscribe, view } from "../state.js";
import { afterPress } from "./after-press.js";
import { arrangeCategories, MIN_FOR_SEARCH, showOnly } from "./category-order.js";
import { createCategoryRow, fitNames, updateCategoryRow } from "./category-row.js";
import { createLabelsNote } from "./labels-note.js";
import { createOutlierSlider } from "./outlier-slider.js";
import { VirtualList } from "./virtual-list.js";

/**
 * @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn
 * @typedef {import("./category-order.js").Category} Category
 * @typedef {import("./category-order.js").Order} Order
 * @typedef {object} Options
 * @property {() => void} onHiddenChange
 * @property {(code: number) => void} onHighlight called with -1 for no category
 * @property {number} quantile of the outlier filter
 * @property {((quantile: number) => void) | null} onQuantileChange null for no outlier filter
 */

const ORDERS = [
  ["file", "File order"], ["name", "Name"], ["most", "Most cells"], ["fewest", "Fewest cells"],
];
/** @type {Order} kept when the column changes */
let order = "file";
/** @type {CategoryLegend | null} the last one, which may no longer be in the document */
let current = null;

const updateCells = () => current?.updateCells();
subscribe("cells", () => afterPress(updateCells));
// Whichever panel scrolls; the event does not bubble.
addEventListener("scroll", () => current?.followScroll(), { capture: true, passive: true });
subscribe("view", (parts) => {
  if (parts.includes("colors")) current?.updateRows();
});

/**
 * Shows the legend of a categorical column in `container`.
 *
 * @param {HTMLElement} container
 * @param {CategoricalColumn} column
 * @param {Set<number>} hidden codes that are hidden; the legend changes it
 * @param {Options} options
 */
export function showCategoryLegend(container, column, hidden, options) {
  const text = current?.column === column ? current.text : "";
  current = new CategoryLegend(container, column, hidden, options, text);
}

/**
 * The categories of a column in the order that the user chose.
 *
 * @param {CategoricalColumn} column
 */
export const orderCategories = ({ categories, missingCode }) =>
  arrangeCategories(categories, "", order, missingCode, current?.orderCounts ?? []);

class CategoryLegend {
  /** @type {Category[]} what the search found, in the order that the user chose */
  #matches = [];
  #counts = new Uint32Array(0); // of visible cells by code
  /** @type {Uint8Array | null | undefined} the visible cells that were counted */
  #counted = undefined;
  /** @type {import("../ask/filters.js").Filter[]} filters that do not hide categories of the column */
  #others = [];
  orderCounts = new Uint32Array(0); // of the cells that pass these

  /**
   * @param {HTMLElement} container
   * @param {CategoricalColumn} column
   * @param {Set<number>} hidden
   * @param {Options} options
   * @param {string} text to find
   */
  constructor(container, column, hidden, options, text) {
    this.column = column;
    this.hidden = hidden;
    this.options = options;
    this.text = text;
    this.note = createElement("p", "note");
    this.note.setAttribute("role", "status");
    const element = createElement("ul", "entries");
    this.list = new VirtualList(element, (category) => this.#createRow(category),
      () => this.updateRows());
    this.#listen(element);
    this.total = createElement("span", "note");
    this.resetButton = createButton("small-button", "Undo all changes of these colors",
      () => this.#resetColors(), "Reset colors");
    container.replaceChildren(...this.#createHead(), element,
      createElement("div", "row", this.note, this.resetButton),
      createLabelsNote());
    const { quantile, onQuantileChange } = options;
    if (onQuantileChange) container.append(createOutlierSlider(quantile, onQuantileChange));
    this.#countForOrder();
    this.#arrange();
  }

  followScroll() {
    if (this.list.element.isConnected) this.list.followScroll();
  }

  /** The title, and the controls above the list. */
  #createHead() {
    const { column } = this;
    const title = Object.assign(createElement("h2", "", column.key), { title: column.key });
    const heading = createElement("div", "heading", title,
      createButton("small-button", "Show all", () => this.#showAll(), "All"),
      createButton("small-button", "Hide all", () => this.#hideAll(), "None"));
    const controls = createElement("div", "legend-controls",
      column.categories.length >= MIN_FOR_SEARCH ? this.#createSearchBox() : this.total,
      this.#createOrderSelect());
    return [heading, controls];
  }

  #createSearchBox() {
    const input = Object.assign(createElement("input"), {
      type: "search", placeholder: "Find a category", autocomplete: "off", spellcheck: false,
      value: this.text,
    });
    input.setAttribute("aria-label", "Find a category");
    input.addEventListener("input", () => {
      this.text = input.value;
      this.#arrange();
    });
    return input;
  }

  #createOrderSelect() {
    const select = createElement("select", "",
      ...ORDERS.map(([value, label]) => new Option(label, value)));
    Object.assign(select, { id: "category-order", value: order });
    select.setAttribute("aria-label", "Order of the categories");
    select.addEventListener("change", () => {
      order = /** @type {Order} */ (select.value);
      this.#countForOrder();
      this.#arrange();
    });
    return select;
  }

  /** Lists what the search finds. */
  #arrange() {
    const { categories, missingCode } = this.column;
    const text = this.text.trim().toLowerCase();
    const matches = arrangeCategories(categories, text, order, missingCode, this.orderCounts);
    const isSame = matches.length === this.#matches.length
      && matches.every(({ code }, i) => code === this.#matches[i].code);
    if (isSame && this.#matches.length) return; // the list stays where it was scrolled to
    this.#matches = matches;
    this.list.show(matches);
  }

  /**
   * Counts the cells that pass all filters but those of the legend itself: a row stays where it is
   * when a click hides it.
   *
   * @returns {boolean} whether there are other filters than before
   */
  #countForOrder() {
    const { column } = this;
    if (order === "file" || order === "name" || !areSourcesLoaded()) return false;
    const on = view.filters.filter((filter) => filter.on);
    const others = on.filter((filter) => (filter.kind === "group"
      ? column.id.startsWith("obs:") : columnOfFilter(filter) !== column.id));
    const isSame = this.orderCounts.length > 0 && others.length === this.#others.length
      && others.every((filter, i) => filter === this.#others[i]);
    if (isSame) return false;
    this.#others = others;
    const passing = others.length === on.length && loaded.areCellsShown
      ? loaded.visible : createFilterMask(others, createSources());
    this.orderCounts = countCodes(column.codes, column.missingCode, passing);
    return true;
  }

  /** Shows which cells are visible now. */
  updateCells() {
    if (!this.list.element.isConnected) return; // also of a dataset that is no longer loaded
    if (this.#countForOrder()) this.#arrange();
    this.updateRows();
  }

  /** @param {Category} category */
  #createRow(category) {
    return createCategoryRow(this.column, category, {
      toggle: (code) => this.#change(() => this.hidden.delete(code) || this.hidden.add(code)),
      showOnly: (code) => this.#showOnly(code),
    });
  }

  #showAll() {
    this.#change(() => this.#matches.forEach(({ code }) => this.hidden.delete(code)));
  }

  #hideAll() {
    this.#change(() => this.#matches.forEach(({ code }) => this.hidden.add(code)));
  }

  /**
   * Hides all others that the search finds; if it is the only one already, shows them again.
   *
   * @param {number} code
   */
  #showOnly(code) {
    this.#change(() => showOnly(this.hidden, code, this.#matches.map((match) => match.code)));
  }

  /** @param {() => void} change of the hidden codes */
  #change(change) {
    change();
    this.options.onHighlight(-1);
    this.options.onHiddenChange();
    this.updateRows();
  }

  #resetColors() {
    const { [this.column.id]: _, ...colors } = view.colors;
    changeView({ colors });
  }

  /** Updates the numbers, colors and marks of the rows, and the notes. */
  updateRows() {
    const { column, hidden, list } = this;
    if (!list.element.isConnected) return; // also of a dataset that is no longer loaded
    const { visible, nVisible, dataset: { nCells } } = loaded;
    if (this.#counted !== visible) {
      this.#counts = countCodes(column.codes, column.missingCode, visible);
      this.#counted = visible;
    }
    for (const [row, category] of list.rows()) {
      const { code } = category;
      updateCategoryRow(row, column, category,
        { isHidden: hidden.has(code), count: this.#counts[code], total: nVisible });
    }
    fitNames(list.rows());
    const part = nVisible < nCells ? `${formatCount(nVisible)} of ` : "";
    this.total.textContent = this.total.title = part + formatCountOf(nCells, "cell");
    this.resetButton.hidden = !view.colors[column.id];
    this.note.textContent = this.#noteText();
  }

  #noteText() {
    const { column: { categories, fileColors }, hidden } = this;
    if (!this.#matches.length) return "no category matches";
    if (categories.every(({ code }) => hidden.has(code))) {
      return "All are hidden: click All or a category.";
    }
    if (categories.length <= N_COLORS || fileColors) return "";
    return `Colors repeat after ${N_COLORS}${HAS_FINGERS.matches ? "" : ": point at a row"}.`;
  }

  /**
   * Highlights the cells of the row that the pointer is on, or that has the focus of the keyboard.
   *
   * @param {HTMLElement} element
   */
  #listen(element) {
    const highlight = (/** @type {Event} */ { target }) => {
      const code = this.list.itemOf(/** @type {Element} */ (target))?.code ?? -1;
      this.options.onHighlight(this.hidden.has(code) ? -1 : code);
    };
    // Not pointerover, which comes also when a new legend appears beneath a pointer at rest.
    element.addEventListener("pointermove", highlight);
    element.addEventListener("pointerleave", () => this.options.onHighlight(-1));
    element.addEventListener("focusin", (event) => {
      if (/** @type {Element} */ (event.target).matches(":focus-visible")) highlight(event);
    });
    element.addEventListener("focusout", () => this.options.onHighlight(-1));
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !event.shiftKey) return;
      event.preventDefault(); // of the click that would follow
      const category = this.list.itemOf(/** @type {Element} */ (event.target));
      if (category) this.#showOnly(category.code);
    });
  }
}
