// How many cells groups have, all and the visible ones. The visible ones are counted while nothing
// else happens, so that a change of a filter is shown at once.

import { countOnes, createMask } from "../ask/masks.js";
import { areSourcesLoaded, createSources, lacksSources } from "../data/sources.js";
import { formatCount } from "../dom.js";
import { loaded } from "../state.js";

/** @typedef {import("../ask/groups.js").Expression} Expression */

const REST_MS = 200; // without a change of the visible cells, before these are counted

/** Counts of groups, for as long as the dataset is shown. */
export class GroupCounts {
  /** @type {WeakMap<Expression, {dataset: object, count: number}>} */
  #totals = new WeakMap();
  /** @type {WeakMap<Expression, {visible: Uint8Array, count: number}>} */
  #visible = new WeakMap();
  /** @type {Set<Expression>} whose visible cells are not counted yet */
  #waiting = new Set();
  #timer = 0;

  /** @param {() => void} onCounted called when there are new counts */
  constructor(onCounted) {
    this.onCounted = onCounted;
  }

  /**
   * The count as text: "12 of 40", or "40" if all cells are visible.
   *
   * @param {Expression} cells
   */
  format(cells) {
    const { dataset, visible } = loaded;
    if (lacksSources(cells)) return "not loaded";
    if (this.#totals.get(cells)?.dataset !== dataset) {
      if (!areSourcesLoaded()) return "…";
      this.#totals.set(cells, { dataset, count: countOnes(createMask(cells, createSources())) });
    }
    const total = formatCount(this.#totals.get(cells).count);
    if (!visible) return total;
    const counted = this.#visible.get(cells);
    if (counted?.visible === visible) return `${formatCount(counted.count)} of ${total}`;
    this.#waiting.add(cells);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#countNext(visible), REST_MS);
    return `… of ${total}`;
  }

  /**
   * Counts one group, then the others.
   *
   * @param {Uint8Array} visible
   */
  #countNext(visible) {
    if (loaded.visible !== visible || !areSourcesLoaded()) {
      this.#waiting.clear();
      return;
    }
    const [cells] = this.#waiting;
    this.#waiting.delete(cells);
    const mask = createMask(cells, createSources());
    let count = 0;
    for (let i = 0; i < mask.length; i++) count += mask[i] & visible[i];
    this.#visible.set(cells, { visible, count });
    if (this.#waiting.size) this.#timer = setTimeout(() => this.#countNext(visible));
    else this.onCounted();
  }
}
