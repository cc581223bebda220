// The panel of the filters: a chip for each, to switch it off, edit it, remove it, or make a group of
// its cells.

import { changeView } from "../actions.js";
import { describeFilter } from "../ask/describe.js";
import { changeFilter, columnOfFilter, dropFilter } from "../ask/filters.js";
import { filtersExpression } from "../ask/groups.js";
import { $, createButton, createElement, formatCount, formatCountOf, formatShare } from "../dom.js";
import { createColumnIndex } from "../data/search-columns.js";
import { lacksSources } from "../data/sources.js";
import { loaded, subscribe, view } from "../state.js";
import { afterPress } from "./after-press.js";
import { Combobox } from "./combobox.js";
import { FilterEditor } from "./filter-editor.js";

/** The chips, below them the editor of one filter. */
export class FiltersPanel {
  /** @type {import("../data/search-columns.js").ColumnIndex} Of the dataset. */
  #index = null;
  #list = createElement("ul", "chips");
  /** @type {import("../ask/filters.js").Filter[]} Those of the list; the view may have others by now. */
  #listed = [];
  #count = createElement("p", "note");
  #dropAll = createButton("small-button", "Remove all filters",
    () => changeView({ filters: [] }), "Remove all");

  /**
   * @param {{onNewGroup: (cells: import("../ask/groups.js").Expression, name: string) => void}}
   *   actions `onNewGroup` makes a group of the cells of a filter
   */
  constructor({ onNewGroup }) {
    this.onNewGroup = onNewGroup;
    this.editor = new FilterEditor(createElement("div", "filter-editor"));
    this.#count.id = "visible-count";
    this.#count.setAttribute("aria-live", "polite");
    const search = createElement("div", "control");
    this.add = new Combobox(search, {
      id: "add-filter",
      label: "Add a filter",
      search: (text) => this.#index.search(text),
      onChoose: (columnId) => columnId && this.edit(columnId),
    });
    this.add.input.placeholder = "Search columns and genes";
    $("filters").append(
      createElement("div", "heading", createElement("h2", "", "Filters"), this.#dropAll),
      this.#count, this.#list, this.editor.container, search);
    $("no-cells").lastElementChild.addEventListener("click", () =>
      changeView({ filters: view.filters.map((filter) => ({ ...filter, on: false })) }));
    subscribe("dataset", () => {
      this.editor.close();
      this.#index = createColumnIndex(loaded.dataset);
      this.#update();
    });
    subscribe("cells", () => afterPress(this.#update));
    subscribe("view", () => afterPress(this.#update));
  }

  /**
   * Edits the filter of a column, also if there is none yet.
   *
   * @param {string} columnId
   */
  edit(columnId) {
    this.editor.open(columnId);
  }

  #update = () => {
    $("no-cells").hidden = !loaded.visible || loaded.nVisible > 0;
    if (!loaded.hasFields) return;
    const { nVisible, dataset: { nCells } } = loaded;
    this.#count.textContent = nVisible === nCells
      ? `${formatCountOf(nCells, "cell")}, all visible`
      : `${formatCount(nVisible)} of ${formatCountOf(nCells, "cell")} visible (${formatShare(nVisible, nCells) || "0%"})`;
    this.#dropAll.hidden = !view.filters.length;
    const findControls = () =>
      /** @type {HTMLElement[]} */ ([...this.#list.querySelectorAll("input, button")]);
    const focused = findControls().findIndex((control) => control === document.activeElement);
    this.#listed = view.filters;
    this.#list.replaceChildren(...view.filters.map((filter, index) => this.#createChip(filter, index)));
    if (focused >= 0) findControls()[focused]?.focus();
    this.editor.update();
  };

  /**
   * Where the filter of a chip is in the view now: the click that asks may have changed the filter
   * itself, in its place, or others, as it took the focus from the editor. -1 if it is gone.
   *
   * @param {number} index in the list
   */
  #indexNow(index) {
    const at = view.filters.indexOf(this.#listed[index]);
    if (at >= 0) return at;
    return index < view.filters.length && !this.#listed.includes(view.filters[index]) ? index : -1;
  }

  /**
   * @param {import("../ask/filters.js").Filter} filter
   * @param {number} index
   */
  #createChip(filter, index) {
    const text = describeFilter(filter, loaded.dataset, view.groups);
    const on = Object.assign(createElement("input"), { type: "checkbox", checked: filter.on });
    on.setAttribute("aria-label", `Apply: ${text}`);
    /** @type {(action: (at: number) => void) => () => void} */
    const doNow = (action) => () => {
      const at = this.#indexNow(index);
      if (at >= 0) action(at);
    };
    on.addEventListener("change", doNow((at) =>
      changeView({ filters: changeFilter(view.filters, at, { on: on.checked }) })));
    const edit = createButton("chip-text", `${text}. Click to change it`,
      doNow((at) => this.#edit(view.filters[at], at)), text);
    const group = createButton("small-button", `Make a group of these cells: ${text}`, doNow((at) => {
      const now = { ...view.filters[at], on: true };
      this.onNewGroup(filtersExpression([now], view.groups),
        describeFilter(now, loaded.dataset, view.groups));
    }), "Group");
    const drop = createButton("small-button", `Remove: ${text}`,
      doNow((at) => changeView({ filters: dropFilter(view.filters, at) })), "×");
    const chip = createElement("li", filter.on ? "filter-chip" : "filter-chip off", on, edit, group, drop);
    if (lacksSources(filter)) chip.append(createElement("span", "note", "could not be loaded"));
    return chip;
  }

  /**
   * Opens the editor, which edits filters that are on; a filter of cells has nothing to edit but
   * whether to keep them.
   *
   * @param {import("../ask/filters.js").Filter} filter
   * @param {number} index
   */
  #edit(filter, index) {
    const column = columnOfFilter(filter);
    if (column !== null) {
      if (!filter.on) changeView({ filters: changeFilter(view.filters, index, { on: true }) });
      this.edit(column);
    } else if ("keep" in filter) {
      changeView({ filters: changeFilter(view.filters, index, { keep: !filter.keep }) });
    }
  }
}
