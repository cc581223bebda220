// What the tooltip says of a cell: its row, its id, and its values in the shown column and the
// pinned ones.

import { columnName } from "../ask/describe.js";
import { CellIds } from "../data/cell-ids.js";
import { formatCount, showName } from "../dom.js";
import { createReader, readColumn } from "../loading/readers.js";
import { isVisible, loaded, subscribe, view } from "../state.js";

/** Describes the cells of the dataset; loads pinned columns, and the ids of the cells asked for. */
export class CellDescription {
  /** @type {import("../data/dataset.js").Dataset} */
  #dataset = null;
  /** @type {CellIds} */
  #ids = null;
  #cell = -1; // the one that was asked for last
  #id = ""; // of it; "" until it is known
  /** @type {Map<string, (i: number) => string>} What a pinned column says of a cell. */
  #pinned = new Map();

  /** @param {() => void} onChange called when more is known about the cell that was asked for last */
  constructor(onChange) {
    this.onChange = onChange;
    subscribe("dataset", () => this.#loadPins());
    subscribe("view", () => this.#loadPins());
  }

  /**
   * Lines of what is known about cell `i`; what is not is loaded.
   *
   * @param {number} i
   */
  describe(i) {
    if (i !== this.#cell) this.#readId(i);
    const { column, columnId } = loaded;
    const pins = view.pins.filter((pin) => pin !== columnId && this.#pinned.has(pin));
    return [
      [`cell ${formatCount(i)}`, this.#id].filter(Boolean).join(" · "),
      column ? `${column.key}: ${showName(column.formatValue(i))}` : "",
      ...pins.map((pin) => `${columnName(pin, loaded.dataset)}: ${this.#pinned.get(pin)(i)}`),
      isVisible(i) ? "" : "filtered out",
    ].filter(Boolean);
  }

  /** @param {number} i */
  async #readId(i) {
    [this.#cell, this.#id] = [i, ""];
    if (!this.#ids?.areKnown || this.#dataset !== loaded.dataset) return;
    const reader = createReader(loaded.entry, new AbortController().signal, () => {});
    const ids = this.#ids;
    const isCurrent = () => ids === this.#ids && i === this.#cell;
    try {
      const id = await ids.read(reader, i);
      if (!isCurrent()) return; // the pointer is at another cell by now
      this.#id = id;
    } catch {
      if (!isCurrent()) return;
      this.#id = "its id could not be loaded";
    }
    this.onChange();
  }

  /** Loads the columns that are pinned now, and forgets those that no longer are. */
  #loadPins() {
    if (!loaded.hasFields) return;
    if (this.#dataset !== loaded.dataset) {
      this.#dataset = loaded.dataset;
      this.#ids = new CellIds(loaded.dataset);
      this.#cell = -1;
      this.#pinned.clear();
    }
    for (const pin of this.#pinned.keys()) if (!view.pins.includes(pin)) this.#pinned.delete(pin);
    for (const pin of view.pins) if (!this.#pinned.has(pin)) this.#loadPin(pin);
  }

  /** @param {string} pin */
  async #loadPin(pin) {
    const waiting = () => "…";
    this.#pinned.set(pin, waiting);
    let describe = (/** @type {number} */ _) => "could not be loaded";
    try {
      const column = await readColumn(pin);
      describe = (i) => showName(column.formatValue(i));
    } catch {
      // The tooltip says it.
    }
    if (this.#pinned.get(pin) !== waiting) return; // it is no longer pinned
    this.#pinned.set(pin, describe);
    this.onChange();
  }
}
