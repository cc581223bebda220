// The legend of the column that colors the cells: it follows the view, and changes it.

import { changeView } from "../actions.js";
import { outlierQuantile, setOutlierQuantile } from "../ask/filters.js";
import { findHidden, hideExactly } from "../ask/hidden-categories.js";
import { CategoricalColumn } from "../data/columns.js";
import { $ } from "../dom.js";
import { loaded, view } from "../state.js";
import { afterPress } from "./after-press.js";
import { showCategoryLegend } from "./category-legend.js";
import { showValueLegend } from "./value-legend.js";

/** @typedef {import("../ask/filters.js").Filter} Filter */
/** @typedef {import("../color/rgb.js").Rgb} Rgb */
/** @typedef {import("../data/columns.js").ContinuousColumn} ContinuousColumn */

export class ColumnLegend {
  /** @type {Filter[] | null} */
  #shownFilters = null;
  /** @type {Partial<import("./value-legend.js").Scale>} */
  #shownScale = {};
  /** @type {(visible: Uint8Array | null) => void} */
  #showVisibleValues = null; // in the histogram

  /**
   * @param {object} actions
   * @param {(code: number) => void} actions.onHighlight called with the category that the user
   *   points at, -1 for none
   * @param {() => Rgb} actions.ground of the cells
   */
  constructor({ onHighlight, ground }) {
    this.onHighlight = onHighlight;
    this.ground = ground;
  }

  /** Shows the column that is loaded. */
  update() {
    const { column } = loaded;
    const findControls = () => [...$("legend").querySelectorAll("button, input, select")];
    const focused = findControls().indexOf(document.activeElement);
    $("legend").inert = false;
    this.#showVisibleValues = null;
    if (!column) $("legend").replaceChildren();
    else if (column instanceof CategoricalColumn) this.#showCategories(column);
    else this.#showValues(column);
    if (focused >= 0) findControls()[focused]?.focus();
  }

  /** Shows which cells are visible; the legend of categories follows them itself. */
  showVisible() {
    this.#showVisibleValues?.(loaded.visible);
  }

  /** Updates it if filters were changed elsewhere; that of values does not show them. */
  showFilters() {
    afterPress(this.#showFilters);
  }

  #showFilters = () => {
    const isShown = !loaded.column?.isCategorical || view.filters === this.#shownFilters;
    if (!isShown) this.update();
  };

  /** Updates it if the color scale was changed elsewhere. */
  showScale() {
    afterPress(this.#showScale);
  }

  #showScale = () => {
    const isOther = Object.entries(this.#shownScale)
      .some(([part, value]) => Reflect.get(view, part) !== value);
    if (this.#showVisibleValues && isOther) this.update();
  };

  /** @param {ContinuousColumn} column */
  #showValues(column) {
    const { range, log, map } = view;
    this.#shownScale = { range, log, map };
    const scale = { range, log, map, ground: this.ground() };
    const show = showValueLegend($("legend"), column, scale,
      (change, needsNewLegend) => {
        if (!needsNewLegend) Object.assign(this.#shownScale, change);
        changeView(change);
      });
    /** @type {Uint8Array | null | undefined} */
    let shown; // a new column shows it once, though its cells are updated too
    this.#showVisibleValues = (visible) => {
      if (visible !== shown) show(visible);
      shown = visible;
    };
    this.#showVisibleValues(loaded.visible);
  }

  /** @param {CategoricalColumn} column */
  #showCategories(column) {
    const { columnId, dataset } = loaded;
    const hidden = findHidden(columnId, column);
    const changeFilters = (/** @type {Filter[]} */ filters) => {
      this.#shownFilters = filters;
      changeView({ filters });
    };
    this.#shownFilters = view.filters;
    showCategoryLegend($("legend"), column, hidden, {
      onHiddenChange: () => changeFilters(hideExactly(columnId, column, hidden)),
      onHighlight: this.onHighlight,
      quantile: outlierQuantile(view.filters, columnId),
      onQuantileChange: dataset.hasOutliers && columnId.startsWith("obs:") ? (quantile) =>
        changeFilters(setOutlierQuantile(view.filters, columnId, quantile)) : null,
    });
  }
}
