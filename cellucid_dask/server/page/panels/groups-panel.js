// The panel of the groups: named sets of cells to show, hide, combine and save.

import { changeView } from "../actions.js";
import { describeFilter } from "../ask/describe.js";
import {
  addGroup, changeGroup, dropGroup, filtersExpression, GROUP_COLUMN, intersect, invert,
  selectionExpression, subtract, unite,
} from "../ask/groups.js";
import { $, createButton, createElement, createName, showName } from "../dom.js";
import { loaded, subscribe, view } from "../state.js";
import { afterPress } from "./after-press.js";
import { GroupCounts } from "./group-counts.js";

/** @typedef {import("../ask/groups.js").Group} Group */
/** @typedef {import("../ask/groups.js").Expression} Expression */

/** @type {Record<string, import("../ask/groups.js").SetOperation>} */
const OPERATIONS = { "and": intersect, "or": unite, "but not": subtract };
/** Lists the groups, with what can be done with them. */
export class GroupsPanel {
  #list = createElement("ul", "group-list");
  #counts = new GroupCounts(() => this.#showCounts());
  #hint = createElement("p", "note", "Name a set of cells to come back to it: the visible ones, "
    + "the selection, or the cells of a filter.");
  #combine = createElement("div", "combine-groups");
  /** @type {string | null} The group whose actions are shown. */
  #openId = null;
  #fromVisible = createButton("small-button", "Make a group of the visible cells", () =>
    this.add(filtersExpression(view.filters, view.groups), nameOfFilters()), "New from visible");
  #fromSelection = createButton("small-button", "Make a group of the selected cells", () =>
    this.add(selectedCells()), "New from selection");
  #color = createButton("small-button", "Color the cells by their group",
    () => changeView({ color: GROUP_COLUMN }), "Color by groups");

  /** @param {(id: string) => void} onDownload called when the user downloads a group */
  constructor(onDownload) {
    this.onDownload = onDownload;
    $("groups").append(
      createElement("div", "heading", createElement("h2", "", "Groups"), this.#color),
      this.#hint, createElement("div", "button-row", this.#fromVisible, this.#fromSelection),
      this.#list, this.#combine);
    for (const topic of /** @type {const} */ (["dataset", "cells", "view"])) {
      subscribe(topic, () => afterPress(this.#update));
    }
  }

  /**
   * Makes a group, and asks for its name.
   *
   * @param {Expression} cells
   * @param {string} [name] that it has until then
   */
  add(cells, name) {
    const groups = addGroup(view.groups, cells, { name });
    changeView({ groups });
    this.#rename(groups.at(-1).id, { isNew: true });
  }

  #update = () => {
    if (!loaded.hasFields) return;
    this.#hint.hidden = view.groups.length > 0;
    this.#color.hidden = !view.groups.length;
    this.#fromVisible.disabled = !loaded.nVisible;
    this.#fromSelection.disabled = !loaded.nSelected;
    if (this.#list.querySelector("input[type='text']") === document.activeElement
      && document.activeElement) return; // the user gives a name
    const controls = () => [...$("groups").querySelectorAll("input, button, select")];
    const focused = controls().indexOf(document.activeElement);
    this.#list.replaceChildren(...view.groups.map((group) => this.#createItem(group)));
    this.#updateCombine();
    if (focused >= 0) controls()[focused]?.focus();
  };

  #showCounts() {
    for (const { id, cells } of view.groups) {
      const count = this.#list.querySelector(`[data-group="${id}"] .number`);
      if (count) count.textContent = this.#counts.format(cells);
    }
  }

  /** @param {Group} group */
  #createItem(group) {
    const { id, name, color, cells } = group;
    const swatch = Object.assign(createElement("input", "color-input"), {
      type: "color", value: color, ariaLabel: `Color of ${showName(name)}`,
    });
    swatch.addEventListener("change", () =>
      changeView({ groups: changeGroup(view.groups, id, { color: swatch.value }) }));
    const isOpen = this.#openId === id;
    const title = createButton("chip-text", `${showName(name)}: what to do with it`, () => {
      this.#openId = isOpen ? null : id;
      this.#update();
    }, createName("", name));
    title.ariaExpanded = String(isOpen);
    const count = createElement("span", "number", this.#counts.format(cells));
    const item = createElement("li", "",
      createElement("div", "filter-chip", swatch, title, count));
    item.dataset.group = id;
    if (isOpen) item.append(this.#createActions(group));
    return item;
  }

  /** @param {Group} group */
  #createActions({ id, name, cells }) {
    const change = (/** @type {Partial<Group>} */ part) =>
      changeView({ groups: changeGroup(view.groups, id, part) });
    const filter = (/** @type {boolean} */ keep) => {
      const others = view.filters.filter((each) =>
        each.kind !== "group" || each.group !== id || !each.on);
      changeView({ filters: [...others, { kind: "group", group: id, keep, on: true }] });
    };
    /** @type {(text: string, what: string, action: () => void, disabled?: boolean) => Element} */
    const button = (text, what, action, disabled = false) => Object.assign(
      createButton("small-button", `${what}: ${name}`, action, text), { disabled });
    const noSelection = !loaded.nSelected;
    return createElement("div", "button-row",
      button("Show only", "Show only the cells of this group; filter out all others", () => filter(true)),
      button("Hide", "Filter out the cells of this group", () => filter(false)),
      button("Add selection", "Add the selected cells to this group",
        () => change({ cells: unite(cells, selectedCells()) }), noSelection),
      button("Subtract selection", "Take the selected cells out of this group",
        () => change({ cells: subtract(cells, selectedCells()) }), noSelection),
      button("Invert", "Exchange the cells of this group for all others",
        () => change({ cells: invert(cells) })),
      button("Download CSV", "Rows, ids and values of the cells, as a table",
        () => this.onDownload(id)),
      button("Rename", "Give another name to this group", () => this.#rename(id)),
      button("Remove", "Remove this group", () => {
        const filters = view.filters.filter((each) => each.kind !== "group" || each.group !== id);
        changeView({ groups: dropGroup(view.groups, id), filters });
      }));
  }

  /**
   * The button with the name of a group.
   *
   * @param {string} id
   * @returns {HTMLElement | null}
   */
  #findName(id) {
    return this.#list.querySelector(`[data-group="${id}"] .chip-text`);
  }

  /**
   * Puts an input in place of the name of a group. The name of a new one is undone with the group.
   *
   * @param {string} id
   * @param {{isNew?: boolean}} [options]
   */
  #rename(id, { isNew = false } = {}) {
    const group = view.groups.find((each) => each.id === id);
    const button = this.#findName(id);
    if (!group || !button) return;
    const input = Object.assign(createElement("input"), {
      type: "text", value: group.name, ariaLabel: "Name of the group", maxLength: 200,
    });
    let isDone = false;
    const finish = (/** @type {boolean} */ keep) => {
      if (isDone) return;
      isDone = true;
      const name = input.value.trim();
      const isThere = view.groups.some((each) => each.id === id); // Back may have removed it
      if (keep && isThere && name && name !== group.name) {
        changeView({ groups: changeGroup(view.groups, id, { name }) }, { completesLast: isNew });
      }
      afterPress(() => {
        input.replaceWith(button);
        this.#update();
        if (document.activeElement === document.body) this.#findName(id)?.focus();
      });
    };
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault(); // else the button that gets the focus would be pressed
      finish(event.key === "Enter");
    });
    input.addEventListener("blur", () => finish(true));
    button.replaceWith(input);
    input.select();
  }

  /** What makes a new group of two: "A", "but not", "B". What was chosen stays. */
  #updateCombine() {
    const chosen = [...this.#combine.querySelectorAll("select")].map(({ value }) => value);
    this.#combine.replaceChildren();
    if (view.groups.length < 2) return;
    const options = () => view.groups.map(({ id, name }) => new Option(name, id));
    /** @type {(label: string, ...items: Node[]) => HTMLSelectElement} */
    const createSelect = (label, ...items) =>
      Object.assign(createElement("select", "", ...items), { ariaLabel: label });
    const first = createSelect("First group", ...options());
    const second = createSelect("Second group", ...options());
    second.selectedIndex = 1;
    const words = Object.keys(OPERATIONS).map((word) => new Option(word, word));
    const operation = createSelect("How to combine the groups", ...words);
    const combine = () => {
      const [a, b] = [first, second].map(({ value }) => view.groups.find(({ id }) => id === value));
      const cells = OPERATIONS[operation.value](a.cells, b.cells);
      const name = `${a.name} ${operation.value} ${b.name}`;
      changeView({ groups: addGroup(view.groups, cells, { name }) });
    };
    [first, operation, second].forEach((select, i) => {
      if ([...select.options].some(({ value }) => value === chosen[i])) select.value = chosen[i];
    });
    this.#combine.append(createElement("span", "label", "New group of two"), first, operation, second,
      createButton("small-button", "Make a group of the two", combine, "Make"));
  }
}

/** What the filters say, if there is only one; else a group is named by its number. */
function nameOfFilters() {
  const on = view.filters.filter((filter) => filter.on);
  return on.length === 1 ? describeFilter(on[0], loaded.dataset, view.groups) : undefined;
}

/** The selected cells that are visible. */
function selectedCells() {
  const selection = selectionExpression(view.lasso);
  const visible = filtersExpression(view.filters, view.groups);
  return "all" in visible && visible.all.length ? intersect(selection, visible) : selection;
}
