// The figure of the view: the cells as they are shown, with their legend, of a size to choose.

import { findHidden } from "../ask/hidden-categories.js";
import { readThemeColors } from "../color/appearance.js";
import { cssColor } from "../color/rgb.js";
import { CategoricalColumn } from "../data/columns.js";
import { splitColumnId } from "../data/column-id.js";
import { orderCategories } from "../panels/category-legend.js";
import { loaded, view } from "../state.js";
import { layoutFigure, suggestHeight } from "./figure-layout.js";
import { createFigure } from "./figure.js";
import { measureLegendText } from "./legend.js";
import { FONT_FAMILY } from "./text.js";
import { createViewLegend } from "./view-legend.js";

/** @typedef {import("./figure-layout.js").FigureOptions} FigureOptions */

export class ViewFigure {
  /** @param {import("../display.js").Display} display */
  constructor(display) {
    this.display = display;
  }

  /**
   * [blob, file name] of a figure of the cells and the legend.
   *
   * @param {FigureOptions} options
   * @returns {Promise<[Blob, string]>}
   */
  async create(options) {
    const { dataset, columnId } = loaded;
    const { display } = this;
    const ownColors = display.colors;
    let creation;
    try {
      display.takeColors(options.ground === "light" ? readThemeColors("light") : ownColors);
      const { text, muted, canvas } = display.colors;
      creation = createFigure(options, this.layout(options), {
        scatter: display.scatter,
        drawOverlay: (context, camera, maxShare) =>
          display.drawMarks(context, camera, { maxShare, fontFamily: FONT_FAMILY }),
        legend: this.#createLegend(),
        colors: { text: cssColor(text), muted: cssColor(muted), ground: cssColor(canvas) },
      });
    } finally {
      display.takeColors(ownColors);
    }
    const parts = [dataset.identity.id, splitColumnId(columnId ?? "")[1]];
    return [await creation, `${parts.filter(Boolean).join("-")}.${options.format}`];
  }

  /** @param {FigureOptions} options */
  layout(options) {
    return layoutFigure(options, this.#aspect, this.#createLegend(), measureLegendText);
  }

  /** @param {FigureOptions} options */
  suggestHeight(options) {
    return suggestHeight(options, this.#aspect, this.#createLegend(), measureLegendText);
  }

  get #aspect() {
    const [width, height] = this.display.scatter.camera.canvasSize;
    return width / height;
  }

  #createLegend() {
    const { column, columnId, visible, selectionMask } = loaded;
    if (!column) return null;
    const isCategorical = column instanceof CategoricalColumn;
    const hidden = isCategorical ? findHidden(columnId, column) : new Set();
    const categories = isCategorical ? orderCategories(column) : [];
    const { colors, scatter: { appearance } } = this.display;
    return createViewLegend(
      { column, categories, hidden, visible, selectionMask, appearance, view, colors });
  }
}
