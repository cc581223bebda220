// Fits the view to cells: at the start, to the visible ones, to the selected ones.

import { START_ROTATION } from "./camera.js";
import { closestZoom, findBounds, findMiddle, fitBounds, largestFreeArea } from "./fit.js";
import { FADED_BIT, FILTERED_OUT_BIT } from "./heights.js";

const MIN_FREE_SHARE = 0.2; // of the canvas; if less is free, what covers it is ignored
const NO_CELLS = { center: [0, 0], zoom: 1, ...START_ROTATION, bandScale: 1, strayCount: 0 };

/** @typedef {import("./fit.js").Area} Area */
/** @typedef {import("./fit.js").Which} Which */

/**
 * The part of a canvas that no element with the attribute `data-covers` covers.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {Area} in CSS pixels of the canvas
 */
export function findFreeArea(canvas) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const covering = [...document.querySelectorAll("[data-covers]")];
  const boxes = covering.filter((element) => element.checkVisibility()).map((element) => {
    const box = element.getBoundingClientRect();
    return /** @type {Area} */ (
      [box.left - left, box.top - top, box.right - left, box.bottom - top]);
  });
  /** @type {Area} */
  const whole = [0, 0, Math.max(1, width), Math.max(1, height)];
  const free = largestFreeArea(whole, boxes);
  const share = ((free[2] - free[0]) * (free[3] - free[1])) / (whole[2] * whole[3]);
  return share < MIN_FREE_SHARE ? whole : free;
}

/**
 * A view of the camera that shows certain cells.
 *
 * @typedef {object} FittedView
 * @property {number[]} center
 * @property {number} zoom
 * @property {number} yaw
 * @property {number} pitch
 * @property {number} [bandScale]
 * @property {number} [strayCount] cells that it leaves out
 * @property {boolean} [isStart] whether it is the first view
 */

/** Moves the camera of a scatter plot to where it shows certain cells. */
export class Fitting {
  /** @type {Which} */
  #lastWhich = {};
  /** @type {Map<string, ReturnType<typeof findBounds>>} */
  #boundsByKey = new Map(); // for the current points and flags
  /** @type {unknown[]} */
  #arrays = [];

  /**
   * @param {import("./scatter.js").Scatter} scatter
   * @param {HTMLElement} strayNote covers cells too, if a view leaves out stray cells
   */
  constructor(scatter, strayNote) {
    this.scatter = scatter;
    this.strayNote = strayNote;
    scatter.camera.findStart = () => this.#findStart();
    new ResizeObserver(() => this.#onResize()).observe(scatter.canvas);
  }

  /** Takes new points into account. */
  onPointsChange() {
    const { camera, points, width } = this.scatter;
    camera.pivot = findMiddle(points, width);
    this.#updateScale();
  }

  /** Cells have their usual size at the zoom that fits all. */
  #updateScale() {
    const { camera } = this.scatter;
    const { zoom, bandScale } = this.#viewOf({}, START_ROTATION, Infinity) ?? NO_CELLS;
    camera.usualZoom = zoom;
    camera.bandScale = bandScale;
  }

  /** Shows all cells that are not filtered out. */
  fitVisible() {
    this.#fit({ excludedBits: FILTERED_OUT_BIT });
  }

  /** Shows the selected cells that are not filtered out. */
  zoomToSelection() {
    this.#fit({ excludedBits: FILTERED_OUT_BIT | FADED_BIT });
  }

  /** Does the last fit again, with the stray cells. */
  showStrayCells() {
    this.#fit({ ...this.#lastWhich, keepsStrays: true });
  }

  #onResize() {
    const { camera, nCells } = this.scatter;
    if (!nCells) return;
    this.#updateScale();
    if (camera.isAtStart) camera.reset();
  }

  /** Of the cells that are drawn. @returns {FittedView} */
  #findStart() {
    const which = { excludedBits: this.scatter.appearance.showsContext ? 0 : FILTERED_OUT_BIT };
    this.#lastWhich = which;
    const view = this.#viewOf(which, START_ROTATION) ?? this.#viewOf({}, START_ROTATION);
    return { ...(view ?? NO_CELLS), isStart: true };
  }

  /** @param {Which} which */
  #fit(which) {
    const { camera } = this.scatter;
    this.#lastWhich = which;
    const view = this.#viewOf(which, camera);
    if (view) camera.fit(view);
  }

  /**
   * @param {Which} which
   * @param {import("./fit.js").Rotation} rotation
   * @param {number} [usualZoom] at which all cells fit
   * @returns {FittedView} null if there are no such cells
   */
  #viewOf(which, { yaw, pitch }, usualZoom = this.scatter.camera.usualZoom) {
    const { points, width, camera, arrays: { flags } } = this.scatter;
    if (this.#arrays[0] !== points || this.#arrays[1] !== flags) this.#boundsByKey.clear();
    this.#arrays = [points, flags];
    const key = JSON.stringify([flags ? which : which.keepsStrays, yaw, pitch]);
    if (!this.#boundsByKey.has(key)) {
      const found = findBounds(points, width, { yaw, pitch }, { flags, ...which });
      this.#boundsByKey.set(key, found);
    }
    const found = this.#boundsByKey.get(key);
    if (!found) return null;
    const { bounds, count, strayCount } = found;
    const wasHidden = this.strayNote.hidden;
    this.strayNote.hidden = !strayCount;
    const area = findFreeArea(this.scatter.canvas);
    this.strayNote.hidden = wasHidden;
    const maxZoom = closestZoom(count, usualZoom);
    return {
      ...fitBounds(bounds, camera.dimension, area, camera.canvasSize, maxZoom), yaw, pitch, strayCount,
    };
  }
}
