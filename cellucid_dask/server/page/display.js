// Draws what is loaded: the cells in their colors, the legend, and what is over the cells.

import { changeView } from "./actions.js";
import {
  hiddenCodes, outlierQuantile, setHiddenCodes, setOutlierQuantile,
} from "./ask/filters.js";
import { GROUP_COLUMN, hiddenGroups, setHiddenGroups } from "./ask/groups.js";
import { countOnes, createFilterMask, createLassoMask } from "./ask/masks.js";
import {
  cellAppearance, columnPalette, edgeColor, readThemeColors, visibleEdges,
} from "./color/appearance.js";
import { cssColor } from "./color/rgb.js";
import { CategoricalColumn } from "./data/columns.js";
import { splitColumnId } from "./data/dataset.js";
import { areSourcesLoaded, createSources } from "./data/sources.js";
import { $, formatCountOf } from "./dom.js";
import { layoutFigure, suggestHeight } from "./figure/figure-layout.js";
import { createFigure } from "./figure/figure.js";
import { measureLegendText } from "./figure/legend.js";
import { createViewLegend } from "./figure/view-legend.js";
import { afterPress } from "./panels/after-press.js";
import { CellDescription } from "./panels/cell-description.js";
import { orderCategories, showCategoryLegend } from "./panels/category-legend.js";
import { showValueLegend } from "./panels/value-legend.js";
import { Fitting } from "./plot/fitting.js";
import { createFlags } from "./plot/heights.js";
import { Lasso } from "./plot/lasso.js";
import { Labels } from "./plot/labels.js";
import { createArrows, drawArrows, drawOutline } from "./plot/overlay.js";
import { maskInside, project } from "./plot/projection.js";
import { Scatter } from "./plot/scatter.js";
import { addTooltip } from "./plot/tooltip.js";
import { isVisible, loaded, notify, published, view } from "./state.js";

/** @typedef {import("./ask/filters.js").Filter} Filter */
/** @typedef {import("./data/columns.js").ContinuousColumn} ContinuousColumn */
/** @typedef {import("./figure/figure-layout.js").FigureOptions} FigureOptions */
/** @typedef {import("./figure/svg-context.js").Painter} Painter */
/** @typedef {import("./plot/camera.js").Camera} Camera */
/** @typedef {import("./plot/lasso.js").Mode} LassoMode */
/**
 * @typedef {object} Actions
 * @property {(lasso: import("./plot/lasso.js").DrawnLasso, mode: LassoMode) => void} addLasso
 * @property {(nEdges: number | null) => void} onCellsUpdated with the number of edges that are drawn
 * @property {() => void} onPictureStart
 */

/** The scatter plot with its overlay and legend; calls `actions` for what the user does there. */
export class Display {
  colors = readThemeColors();
  /** @type {import("./plot/overlay.js").Arrow[]} */
  #arrows = [];
  #labels = new Labels();
  /** @type {Filter[] | null} */
  #filtersInLegend = null; // as the legend shows them
  #scaleInLegend = {}; // as the legend shows it
  /** @type {(visible: Uint8Array | null) => void} */
  #showVisibleValues = null; // in the histogram of the legend
  #isOpening = false; // whether the first view waits for filters and panels

  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    // In main memory: without a graphics card, labels would take as long as the cells in a drag.
    this.overlay = $("overlay").getContext("2d", { willReadFrequently: true });
    this.scatter = new Scatter($("cells"), () => this.#onPictureStart());
    this.fitting = new Fitting(this.scatter, $("stray-cells"));
    this.lasso = new Lasso(this.scatter, {
      onChange: () => this.scatter.draw(), onComplete: actions.addLasso,
    });
    const description = new CellDescription(() => updateTooltip());
    const updateTooltip = addTooltip(this.scatter, (/** @type {number} */ i) => description.describe(i));
    published.at = (/** @type {number} */ i) => this.#pixelOfCell(i);
    published.rests = () => this.scatter.isIdle;
  }

  /**
   * CSS pixel of a cell on the canvas.
   *
   * @param {number} i
   */
  #pixelOfCell(i) {
    const { points, width, camera } = this.scatter;
    const [x, y] = project([...points.subarray(width * i, width * i + width)], camera);
    return camera.toPixel(x, y);
  }

  clear() {
    this.scatter.setPoints(new Float32Array(0), 2);
    Object.assign(this.scatter, { codes: null, flags: null, edges: null });
    this.#arrows = [];
    this.scatter.draw();
  }

  /**
   * Shows points from the viewpoint of the view.
   *
   * @param {Float32Array} points (n, dimension)
   * @param {number} dimension
   */
  showPoints(points, dimension) {
    this.scatter.setPoints(points, dimension);
    this.fitting.onPointsChange();
    this.#isOpening = true;
    this.scatter.camera.viewpoint = view.at;
    this.updateCells();
  }

  /** From now on the view stays where it is when other cells are visible. */
  finishOpening() {
    this.#isOpening = false;
  }

  /** Sends the column to the graphics card, and shows its legend. */
  updateColumn() {
    const { column, columnId } = loaded;
    published.colorBy = columnId || null;
    if (column?.isCategorical) loaded.labelColumn = column;
    view.labelColumn = column?.isCategorical ? "" : loaded.labelColumn?.id ?? view.labelColumn;
    this.scatter.codes = column?.codes ?? null;
    this.scatter.appearance.highlightedCode = this.#labels.highlightedCode = -1;
    this.updateLegend();
    this.updateCells();
  }

  updateLegend() {
    const { column } = loaded;
    const findControls = () => [...$("legend").querySelectorAll("button, input, select")];
    const focused = findControls().indexOf(document.activeElement);
    $("legend").inert = false;
    this.#showVisibleValues = null;
    if (!column) $("legend").replaceChildren();
    else if (column instanceof CategoricalColumn) this.#showCategoryLegend(column);
    else this.#showValueLegend(column);
    if (focused >= 0) findControls()[focused]?.focus();
  }

  /** @param {ContinuousColumn} column */
  #showValueLegend(column) {
    const { range, log, map } = view;
    this.#scaleInLegend = { range, log, map };
    const scale = { range, log, map, ground: this.colors.canvas };
    const show = showValueLegend($("legend"), column, scale,
      (change, needsNewLegend) => {
        if (!needsNewLegend) Object.assign(this.#scaleInLegend, change);
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

  /** Updates the legend if the color scale was changed elsewhere. */
  showScale() {
    afterPress(this.#showScale);
  }

  #showScale = () => {
    const isOther = Object.entries(this.#scaleInLegend)
      .some(([part, value]) => Reflect.get(view, part) !== value);
    if (this.#showVisibleValues && isOther) this.updateLegend();
  };

  /** @param {CategoricalColumn} column */
  #showCategoryLegend(column) {
    const { columnId, dataset } = loaded;
    const codes = column.categories.map(({ code }) => code);
    const hidden = this.#hiddenCodes(column);
    const hide = () => (columnId === GROUP_COLUMN
      ? setHiddenGroups(view.filters, view.groups, column.missingCode, hidden)
      : setHiddenCodes(view.filters, columnId, hidden, codes));
    const changeFilters = (/** @type {Filter[]} */ filters) => {
      this.#filtersInLegend = filters;
      changeView({ filters });
    };
    this.#filtersInLegend = view.filters;
    showCategoryLegend($("legend"), column, hidden, {
      onHiddenChange: () => changeFilters(hide()),
      onHighlight: (code) => this.#highlight(code),
      quantile: outlierQuantile(view.filters, columnId),
      onQuantileChange: dataset.hasOutliers && columnId.startsWith("obs:") ? (quantile) =>
        changeFilters(setOutlierQuantile(view.filters, columnId, quantile)) : null,
    });
  }

  /**
   * Fades the cells of all other categories of the column; -1 for none.
   *
   * @param {number} code
   */
  #highlight(code) {
    const { appearance } = this.scatter;
    if (code === appearance.highlightedCode) return;
    appearance.highlightedCode = this.#labels.highlightedCode = code;
    this.scatter.draw();
  }

  /** Updates the legend if filters were changed elsewhere; that of values does not show them. */
  showFilters() {
    afterPress(this.#showFilters);
  }

  #showFilters = () => {
    const isShown = !loaded.column?.isCategorical || view.filters === this.#filtersInLegend;
    if (!isShown) this.updateLegend();
  };

  /** Updates which cells are visible and their colors, and everything that depends on it. */
  updateCells() {
    const { dataset, vectors, edges, dimension } = loaded;
    const { scatter } = this;
    if (loaded.hasFields && areSourcesLoaded()) this.#updateMasks();
    scatter.flags = createFlags(dataset.nCells, loaded.visible, loaded.selectionMask);
    published.drawn = loaded.nVisible;
    this.#arrows = view.vectors && vectors
      ? createArrows(scatter.points, scatter.width, vectors, dimension, isVisible) : [];
    const pairs = view.edges && edges ? visibleEdges(edges, isVisible) : null;
    scatter.edges = pairs;
    if (pairs) scatter.appearance.edge = edgeColor(pairs.length / 2, this.colors);
    this.updateAppearance();
    this.actions.onCellsUpdated(pairs && pairs.length / 2);
    $("fit-visible").disabled = !loaded.visible || !loaded.nVisible;
    $("zoom-selection").disabled = !loaded.nSelected;
    this.#showVisibleValues?.(loaded.visible);
    notify("cells");
    if (this.#isOpening && scatter.camera.isAtStart) scatter.camera.reset();
  }

  /** Finds the cells that pass the filters, and the selected ones of them. */
  #updateMasks() {
    const sources = createSources();
    loaded.visible = createFilterMask(view.filters, sources);
    loaded.nVisible = loaded.visible ? countOnes(loaded.visible) : sources.nCells;
    loaded.selectionMask = view.lasso.length ? createLassoMask(view.lasso, sources) : null;
    loaded.nSelected = loaded.selectionMask?.reduce((n, is, i) => n + (isVisible(i) ? is : 0), 0) ?? 0;
  }

  /**
   * The cells inside an outline around the points that are shown, a byte for each.
   *
   * @param {import("./ask/filters.js").Lasso} lasso
   */
  maskOutline(lasso) {
    const { points, width, nCells } = this.scatter;
    const mask = new Uint8Array(nCells);
    maskInside(points, width, lasso, lasso.outline, mask);
    return mask;
  }

  /** Updates colors, sizes and labels; the cells that are visible stay the same. */
  updateAppearance() {
    const { scatter, colors } = this;
    Object.assign(scatter.appearance, cellAppearance(loaded.column, view, colors));
    scatter.appearance.pointSize = this.pointSize;
    this.#updateLabels();
    scatter.palette = columnPalette(loaded.column, view, colors);
    scatter.draw();
  }

  /** Diameter of cells in CSS pixels: of the view, else the smaller the more cells there are. */
  get pointSize() {
    const usual = Math.round(120 / (loaded.dataset?.nCells || 1) ** 0.28) / 2;
    return view.size ?? Math.min(7, Math.max(1.5, usual));
  }

  /** Draws the overlay for the same camera as the picture. */
  #onPictureStart() {
    const { overlay, scatter } = this;
    const { width, height } = scatter.canvas;
    const { canvas } = overlay;
    const isSameSize = canvas.width === width && canvas.height === height;
    if (!isSameSize) Object.assign(canvas, { width, height });
    const ratio = width / scatter.camera.canvasSize[0];
    overlay.setTransform(1, 0, 0, 1, 0, 0);
    // Not clearRect: Chromium 156 drops it if nothing follows.
    overlay.globalCompositeOperation = "copy";
    overlay.fillStyle = "transparent";
    overlay.fillRect(0, 0, width, height);
    overlay.globalCompositeOperation = "source-over";
    overlay.scale(ratio, ratio);
    this.#drawOverlay(overlay);
    this.#showStrayCount();
    this.actions.onPictureStart();
  }

  /** Says how many cells the fitted view leaves out, until the user moves. */
  #showStrayCount() {
    const { camera } = this.scatter;
    const n = camera.isFitted ? camera.fitted.strayCount : 0;
    loaded.strayCells = published.strayCells = n;
    $("stray-cells").hidden = !n;
    if (!n) return;
    $("stray-cells").firstElementChild.textContent =
      `${formatCountOf(n, "cell")} far outside ${n === 1 ? "is" : "are"} not in view.`;
  }

  /** @param {CanvasRenderingContext2D} context */
  #drawOverlay(context) {
    const { scatter: { camera }, lasso } = this;
    published.labelBoxes = this.#drawMarks(context, camera);
    published.labels = published.labelBoxes.length;
    const accent = cssColor(this.colors.accent);
    if (lasso?.outline.length > 1) drawOutline(context, camera, lasso.outline, { accent });
  }

  /**
   * Draws arrows and labels; returns the labels.
   *
   * @param {Painter} context
   * @param {Camera} camera
   * @param {number} [labelShare] see `Labels.draw`
   */
  #drawMarks(context, camera, labelShare = Infinity) {
    const [text, background] = ["text", "canvas"].map((name) => cssColor(this.colors[name]));
    if (this.#arrows.length) drawArrows(context, camera, this.#arrows, { text, background });
    return this.#labels.draw(context, camera, { text, background }, labelShare);
  }

  /** Labels are of the column, and when it has values, of the last one that had categories. */
  #updateLabels() {
    const { labelColumn, column, dimension } = loaded;
    const { points, width, arrays, appearance } = this.scatter;
    const embedding = { points, width, dimension };
    this.#labels.update(
      view.labels && column ? labelColumn : null, embedding, arrays.flags, appearance.showsContext);
    const note = $("labels-note");
    if (!note) return;
    note.hidden = !this.#labels.isMixed;
    note.textContent = "Labels are off: categories overlap.";
  }

  /** @param {CategoricalColumn} column that colors the cells */
  #hiddenCodes(column) {
    const { columnId } = loaded;
    if (columnId === GROUP_COLUMN) return hiddenGroups(view.filters, view.groups, column.missingCode);
    return hiddenCodes(view.filters, columnId, column.categories.map(({ code }) => code));
  }

  /**
   * [blob, file name] of a figure of the cells and the legend.
   *
   * @param {FigureOptions} options
   * @returns {Promise<[Blob, string]>}
   */
  async createFigure(options) {
    const { dataset, columnId } = loaded;
    const ownColors = this.colors;
    let creation;
    try {
      this.#takeColors(options.ground === "light" ? readThemeColors("light") : ownColors);
      creation = createFigure(options, this.layoutFigure(options), {
        scatter: this.scatter,
        drawOverlay: (context, camera, labelShare) => this.#drawMarks(context, camera, labelShare),
        legend: this.#createLegend(),
        colors: {
          text: cssColor(this.colors.text),
          muted: cssColor(this.colors.muted),
          ground: cssColor(this.colors.canvas),
        },
      });
    } finally {
      this.#takeColors(ownColors);
    }
    const parts = [dataset.identity.id, splitColumnId(columnId ?? "")[1]];
    return [await creation, `${parts.filter(Boolean).join("-")}.${options.format}`];
  }

  /** @param {FigureOptions} options */
  layoutFigure(options) {
    return layoutFigure(options, this.#aspect, this.#createLegend(), measureLegendText);
  }

  /** @param {FigureOptions} options */
  suggestFigureHeight(options) {
    return suggestHeight(options, this.#aspect, this.#createLegend(), measureLegendText);
  }

  get #aspect() {
    const [width, height] = this.scatter.camera.canvasSize;
    return width / height;
  }

  #createLegend() {
    const { column, visible } = loaded;
    if (!column) return null;
    const isCategorical = column instanceof CategoricalColumn;
    const hidden = isCategorical ? this.#hiddenCodes(column) : new Set();
    const categories = isCategorical ? orderCategories(column) : [];
    const { colors, scatter: { appearance } } = this;
    return createViewLegend({ column, categories, hidden, visible, appearance, view, colors });
  }

  /** @param {ReturnType<typeof readThemeColors>} colors */
  #takeColors(colors) {
    this.colors = colors;
    this.updateAppearance();
    const { edges } = this.scatter.arrays;
    if (edges) this.scatter.appearance.edge = edgeColor(edges.length / 2, colors);
  }

  /** Takes the colors of the current theme. */
  updateTheme() {
    this.colors = readThemeColors();
    if (!loaded.dimension) return;
    this.updateLegend();
    this.updateCells();
  }
}
