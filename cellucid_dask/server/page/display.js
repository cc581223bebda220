// Draws what is loaded: the cells in their colors, and what is over the cells.

import { isHistoryMoving } from "./ask/history.js";
import {
  cellAppearance, columnPalette, edgeColor, readThemeColors, visibleEdges,
} from "./color/appearance.js";
import { cssColor } from "./color/rgb.js";
import { areSourcesLoaded } from "./data/sources.js";
import { updateMasks } from "./data/visible-cells.js";
import { $, formatCountOf } from "./dom.js";
import { ViewFigure } from "./figure/view-figure.js";
import { isRedrawDue } from "./panels/after-press.js";
import { CellDescription } from "./panels/cell-description.js";
import { ColumnLegend } from "./panels/column-legend.js";
import { Fitting } from "./plot/fitting.js";
import { createFlags } from "./plot/heights.js";
import { Lasso } from "./plot/lasso.js";
import { Labels } from "./plot/labels.js";
import { createArrows, drawArrows, drawOutline } from "./plot/overlay.js";
import { maskInside, project } from "./plot/projection.js";
import { Scatter } from "./plot/scatter.js";
import { addTooltip } from "./plot/tooltip.js";
import { isVisible, loaded, notify, published, view } from "./state.js";

/** @typedef {import("./figure/svg-context.js").Painter} Painter */
/** @typedef {import("./plot/camera.js").Camera} Camera */
/** @typedef {import("./plot/lasso.js").Mode} LassoMode */
/**
 * @typedef {object} Actions
 * @property {(lasso: import("./plot/lasso.js").DrawnLasso, mode: LassoMode) => void} addLasso
 * @property {(nEdges: number | null) => void} onCellsUpdated with the number of edges that are drawn
 * @property {() => void} onPictureStart
 */

/** The scatter plot with its overlay; calls `actions` for what the user does there. */
export class Display {
  colors = readThemeColors();
  /** @type {import("./plot/overlay.js").Arrow[]} */
  #arrows = [];
  #labels = new Labels();
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
    this.legend = new ColumnLegend({
      onHighlight: (code) => this.#highlight(code), ground: () => this.colors.canvas,
    });
    this.figure = new ViewFigure(this);
    const description = new CellDescription(() => updateTooltip());
    const updateTooltip = addTooltip(this.scatter, (/** @type {number} */ i) => description.describe(i));
    published.at = (/** @type {number} */ i) => this.#pixelOfCell(i);
    published.rests = () => this.scatter.isIdle && !isRedrawDue() && !isHistoryMoving();
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
    if (column?.isCategorical) {
      Object.assign(loaded, { labelColumn: column, groupsInLabels: loaded.groupsInColumn });
    }
    view.labelColumn = column?.isCategorical ? "" : loaded.labelColumn?.id ?? view.labelColumn;
    this.scatter.codes = column?.codes ?? null;
    this.scatter.appearance.highlightedCode = this.#labels.highlightedCode = -1;
    this.legend.update();
    this.updateCells();
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

  /** Updates which cells are visible and their colors, and everything that depends on it. */
  updateCells() {
    const { dataset, vectors, edges, dimension } = loaded;
    const { scatter } = this;
    if (loaded.hasFields && areSourcesLoaded()) updateMasks();
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
    this.legend.showVisible();
    notify("cells");
    if (this.#isOpening && scatter.camera.isAtStart) scatter.camera.reset();
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
    published.labelBoxes = this.drawMarks(context, camera);
    published.labels = published.labelBoxes.length;
    const accent = cssColor(this.colors.accent);
    if (lasso?.outline.length > 1) drawOutline(context, camera, lasso.outline, { accent });
  }

  /**
   * Draws arrows and labels; returns the labels.
   *
   * @param {Painter} context
   * @param {Camera} camera
   * @param {import("./plot/labels.js").LabelOptions} [labelOptions]
   */
  drawMarks(context, camera, labelOptions) {
    const [text, background] = ["text", "canvas"].map((name) => cssColor(this.colors[name]));
    if (this.#arrows.length) drawArrows(context, camera, this.#arrows, { text, background });
    return this.#labels.draw(context, camera, { text, background }, labelOptions);
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

  /**
   * Draws in the colors of a theme from now on.
   *
   * @param {ReturnType<typeof readThemeColors>} colors
   */
  takeColors(colors) {
    this.colors = colors;
    this.updateAppearance();
    const { edges } = this.scatter.arrays;
    if (edges) this.scatter.appearance.edge = edgeColor(edges.length / 2, colors);
  }

  /** Takes the colors of the current theme. */
  updateTheme() {
    this.colors = readThemeColors();
    if (!loaded.dimension) return;
    this.legend.update();
    this.updateCells();
  }
}
