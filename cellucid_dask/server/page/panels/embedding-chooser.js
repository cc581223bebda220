// The buttons for the number of dimensions and, where a dimension has several embeddings, a list of
// all embeddings.

import { Combobox } from "./combobox.js";
import { ChoiceList, searchLists } from "../data/choices.js";
import { createButton, createElement } from "../dom.js";

/** @typedef {import("../data/embeddings.js").Embedding} Embedding */
/**
 * Parts of the view; "" is the default embedding of dimension d.
 *
 * @typedef {{d: number, embedding: string}} Wanted
 */

export class EmbeddingChooser {
  /** @type {Embedding[]} */
  #embeddings = [];
  /** @type {Map<number, string>} */
  #lastByDimension = new Map(); // for the buttons

  /**
   * Fills `container`; calls `onChoose` with the parts of the view that the user chooses.
   *
   * @param {HTMLElement} container
   * @param {{onChoose: (wanted: Wanted) => void}} actions
   */
  constructor(container, { onChoose }) {
    this.onChoose = onChoose;
    /** @type {HTMLElement} */
    this.buttons = createElement("div", "dimension-buttons");
    this.buttons.id = "dimensions";
    this.listBox = createElement("div");
    const label = createElement("span", "label", "Dimensions");
    label.id = "dimensions-label";
    const group = Object.assign(createElement("div", "", label, this.buttons), { role: "group" });
    group.setAttribute("aria-labelledby", label.id);
    container.append(group, this.listBox);
    this.combobox = new Combobox(this.listBox, {
      id: "embedding",
      label: "Embedding",
      search: (text) => this.#search(text.trim()),
      onChoose: (id) => this.#choose(id),
    });
    this.clear();
  }

  clear() {
    this.show([]);
  }

  /** @param {Embedding[]} embeddings */
  show(embeddings) {
    this.#embeddings = embeddings;
    this.#lastByDimension.clear();
    const dimensions = this.#dimensions;
    this.buttons.replaceChildren(...dimensions.map((d) => {
      const button = createButton("", "", () => this.chooseDimension(d), `${d}D`);
      return Object.assign(button, { value: d });
    }));
    this.combobox.close();
    this.#showList();
  }

  /** The list is of use if it has more than the buttons, or says why one of these shows nothing. */
  #showList() {
    const isNeeded = this.#embeddings.length > this.#dimensions.length
      || this.#embeddings.some(({ problem }) => problem);
    this.listBox.hidden = !isNeeded;
  }

  get #dimensions() {
    return [...new Set(this.#embeddings.map(({ dimension }) => dimension))].sort();
  }

  /** A list of the embeddings of each dimension, with what is known of them now. */
  #createLists() {
    return this.#dimensions.map((d) => new ChoiceList(`${d}D`, this.#embeddings
      .filter(({ dimension }) => dimension === d)
      .map(({ id, isDefault, problem }) => ({
        value: id,
        label: id,
        detail: problem ? `cannot be shown: ${problem}` : isDefault ? "default" : "",
        isDisabled: problem !== "",
      }))));
  }

  /** Shows which embedding the view has. */
  showView(/** @type {Wanted} */ { d, embedding }) {
    for (const button of this.buttons.children) {
      const { value } = /** @type {HTMLButtonElement} */ (button);
      button.ariaPressed = String(Number(value) === d);
    }
    this.#lastByDimension.set(d, embedding);
    this.#showList();
    const shown = this.#embeddings.find(({ id, dimension, isDefault }) =>
      (embedding ? id === embedding : dimension === d && isDefault));
    this.combobox.show(shown?.id ?? "", shown?.id ?? "");
  }

  /**
   * Chooses the embedding of a dimension that was shown last, else its default; false if there is
   * none.
   *
   * @param {number} d
   */
  chooseDimension(d) {
    if (!this.#embeddings.some(({ dimension }) => dimension === d)) return false;
    this.onChoose({ d, embedding: this.#lastByDimension.get(d) ?? "" });
    return true;
  }

  /** @param {string} text */
  #search(text) {
    const lists = this.#createLists();
    return text ? searchLists(lists, text) : { groups: lists, note: "" };
  }

  /** @param {string} chosen */
  #choose(chosen) {
    const { dimension, isDefault } = this.#embeddings.find(({ id }) => id === chosen);
    this.onChoose({ d: dimension, embedding: isDefault ? "" : chosen });
  }
}
