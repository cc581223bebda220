// The editor of the filters of one column: its categories, or a range of its values.

import { changeView } from "../actions.js";
import { columnName } from "../ask/describe.js";
import {
  hiddenCodes, isLastOff, rangeOf, setHiddenCodes, setRange, switchLastOn,
} from "../ask/filters.js";
import { countCodes } from "../data/code-counts.js";
import { createButton, createElement, createName, formatCount, showName } from "../dom.js";
import { readColumn } from "../loading/readers.js";
import { loaded, view } from "../state.js";
import { MIN_FOR_SEARCH, showOnly } from "./category-order.js";
import { showCount } from "./category-row.js";
import { RangeEditor } from "./range-editor.js";

const OFF_NOTE = "This filter is off; a change switches it on.";
const MAX_ROWS = 200; // of categories; the search finds the others

/** Edits the filters of a column in `container`, which is empty while nothing is edited. */
export class FilterEditor {
  /** @type {string | null} */
  #columnId = null;
  /** Shows the filters of the view, without another editor. */
  #show = () => {};

  /** @param {HTMLElement} container */
  constructor(container) {
    this.container = container;
  }

  /**
   * Shows the editor of a column, once it is loaded.
   *
   * @param {string} columnId
   */
  async open(columnId) {
    this.#columnId = columnId;
    const { dataset } = loaded;
    this.container.replaceChildren(createElement("p", "note", "Loading…"));
    const column = await Promise.resolve(readColumn(columnId)).catch((error) => ({ error }));
    if (this.#columnId !== columnId || loaded.dataset !== dataset) return;
    const name = columnName(columnId, dataset);
    const title = Object.assign(createElement("h2", "", name), { title: name });
    const done = createButton("small-button", "Close the editor", () => this.close(), "Done");
    this.container.replaceChildren(createElement("div", "heading", title, done));
    if (column.error) this.container.append(createElement("p", "note", column.error.message));
    else if (column.isCategorical) this.#editCategories(columnId, column);
    else this.#editRange(columnId, column);
    this.container.scrollIntoView({ block: "nearest" });
    this.#focus(done);
  }

  /**
   * Puts the focus on the first control of the editor; `done` is the button above it. On a phone a
   * text box would open the keyboard, which covers the editor.
   *
   * @param {HTMLElement} done
   */
  #focus(done) {
    const opensKeyboard = matchMedia("(pointer: coarse)").matches;
    const first = opensKeyboard ? null : this.container.querySelector("input");
    (first ?? done).focus();
  }

  close() {
    this.#columnId = null;
    this.#show = () => {};
    this.container.replaceChildren();
  }

  /** Shows what is filtered now. */
  update() {
    if (this.#columnId !== null) this.#show();
  }

  /**
   * @param {string} columnId
   * @param {import("../data/columns.js").ContinuousColumn} column
   */
  #editRange(columnId, column) {
    const filters = () => switchLastOn(view.filters, "range", columnId);
    const editor = new RangeEditor(column, (from, to) =>
      changeView({ filters: setRange(filters(), columnId, from, to) }));
    const offNote = createElement("p", "note", OFF_NOTE);
    this.container.append(offNote, editor.element);
    this.#show = () => {
      offNote.hidden = !isLastOff(view.filters, "range", columnId);
      editor.show(...rangeOf(filters(), columnId));
    };
    this.#show();
  }

  /**
   * @param {string} columnId
   * @param {import("../data/columns.js").CategoricalColumn} column
   */
  #editCategories(columnId, column) {
    const { categories } = column;
    const codes = categories.map(({ code }) => code);
    const list = createElement("ul", "check-list");
    const note = createElement("p", "note");
    const search = Object.assign(createElement("input"), {
      type: "search", placeholder: "Find a category", ariaLabel: "Find a category to filter by",
      autocomplete: "off",
    });
    /** @type {import("./category-order.js").Category[]} */
    let listed = [];
    const filters = () => switchLastOn(view.filters, "categories", columnId);
    const hidden = () => hiddenCodes(filters(), columnId, codes);
    const hide = (/** @type {number[]} */ codesToHide) => changeView({
      filters: setHiddenCodes(filters(), columnId, new Set(codesToHide), codes),
    });
    const offNote = createElement("p", "note", OFF_NOTE);
    const listMatches = () => {
      const matches = matching();
      listed = matches.slice(0, MAX_ROWS);
      const more = matches.length - listed.length;
      note.textContent = more ? `and ${formatCount(more)} more: search for them` : "";
      list.replaceChildren(...listed.map(({ name, code }) => {
        const box = Object.assign(createElement("input"), { type: "checkbox" });
        box.addEventListener("change", () => {
          const rest = [...hidden()].filter((other) => other !== code);
          hide(box.checked ? rest : [...rest, code]);
        });
        const label = Object.assign(createName("text", name), { title: showName(name) });
        const count = createElement("span", "number");
        const title = `Show only ${name}; click again to show all`;
        const onlyThis = createButton("only", title, () => {
          const codesToHide = hidden();
          showOnly(codesToHide, code, matchingCodes());
          hide([...codesToHide]);
        }, "only");
        return createElement("li", "", createElement("label", "checkbox", box, label, count), onlyThis);
      }));
      all.disabled = none.disabled = !listed.length;
      only.disabled = !listed.length || listed.length === categories.length;
      this.#show();
    };
    this.#show = () => {
      offNote.hidden = !isLastOff(view.filters, "categories", columnId);
      const isHidden = hidden();
      const counts = countCodes(column.codes, column.missingCode, loaded.visible);
      [...list.children].forEach((item, i) => {
        const { code, cellCount } = listed[i];
        item.querySelector("input").checked = !isHidden.has(code);
        showCount(item.querySelector(".number"), counts[code], cellCount);
      });
    };
    const matching = () => {
      const text = search.value.trim().toLowerCase();
      return categories.filter(({ name }) => name.toLowerCase().includes(text));
    };
    const matchingCodes = () => matching().map(({ code }) => code);
    search.addEventListener("input", listMatches);
    const all = createButton("small-button", "Show all that are found", () => {
      const found = new Set(matchingCodes());
      hide([...hidden()].filter((code) => !found.has(code)));
    }, "All");
    const none = createButton("small-button", "Hide all that are found",
      () => hide([...hidden(), ...matchingCodes()]), "None");
    const only = createButton("small-button", "Show only what is found; hide all others", () => {
      const found = new Set(matchingCodes());
      hide(codes.filter((code) => !found.has(code)));
    }, "Show only");
    const hasSearch = categories.length >= MIN_FOR_SEARCH;
    this.container.append(offNote, ...(hasSearch ? [search] : []),
      createElement("div", "button-row", all, none, ...(hasSearch ? [only] : [])), list, note);
    listMatches();
  }
}
