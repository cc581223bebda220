// The lasso: draws an outline around cells with the pointer.

import { round6 } from "../link/parts.js";

const MIN_STEP = 4; // CSS pixels between two corners
const MAX_CORNERS = 120; // so that the outline fits into a link

/** @typedef {Omit<import("../ask/filters.js").Lasso, "embedding">} DrawnLasso */
/** @typedef {"new" | "add" | "remove"} Mode what an outline does to the selection */

/**
 * While it is active, the user draws outlines on the canvas.
 *
 * Calls `onComplete(lasso, mode)` for each.
 */
export class Lasso {
  /** @type {Mode} */
  mode = "new"; // of outlines that are drawn without a modifier key
  /** @type {DrawnLasso["outline"]} */
  outline = []; // plane coordinates of the outline that is being drawn
  /** @type {[number, number] | null} */
  #lastPixel = null;
  /** @type {number | null} */
  #pointerId = null; // of the pointer that draws: another finger does not

  /**
   * @param {import("./scatter.js").Scatter} scatter
   * @param {{onChange: () => void, onComplete: (lasso: DrawnLasso, mode: Mode) => void}} actions
   */
  constructor(scatter, { onChange, onComplete }) {
    this.scatter = scatter;
    this.onChange = onChange;
    this.onComplete = onComplete;
    const { canvas } = scatter;
    canvas.addEventListener("pointerdown", (event) => {
      if (this.isActive && event.button === 0 && !this.#lastPixel) this.#begin(event);
    });
    const isDrawing = (/** @type {PointerEvent} */ { pointerId }) => this.#lastPixel && pointerId === this.#pointerId;
    canvas.addEventListener("pointermove", (event) => isDrawing(event) && this.#addCorner(event));
    canvas.addEventListener("pointerup", (event) => isDrawing(event) && this.#complete(event));
    canvas.addEventListener("pointercancel", (event) => isDrawing(event) && this.#clear());
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#clear();
      else if (event.key === "Enter" && this.isActive) this.#selectAllInView(event);
    });
  }

  set isActive(isActive) {
    this.scatter.camera.isDragEnabled = !isActive;
    this.scatter.canvas.classList.toggle("lasso-active", isActive);
    this.#clear();
  }

  get isActive() {
    return !this.scatter.camera.isDragEnabled;
  }

  /** @param {PointerEvent} event */
  #begin(event) {
    this.#clear();
    this.#lastPixel = [-Infinity, 0];
    this.#pointerId = event.pointerId;
    this.#addCorner(event);
  }

  /** @param {PointerEvent} event */
  #addCorner({ offsetX: x, offsetY: y }) {
    if (Math.hypot(x - this.#lastPixel[0], y - this.#lastPixel[1]) < MIN_STEP) return;
    this.#lastPixel = [x, y];
    this.outline.push(this.#cornerAt(x, y));
    this.onChange();
  }

  /** @param {PointerEvent} event */
  #complete(event) {
    const { outline } = this;
    this.#clear();
    if (outline.length < 3) return;
    const step = Math.ceil(outline.length / MAX_CORNERS);
    this.#report(outline.filter((_, i) => i % step === 0), event);
  }

  /**
   * For the keyboard: an outline around the whole canvas.
   *
   * @param {KeyboardEvent} event
   */
  #selectAllInView(event) {
    const { camera } = this.scatter;
    const [w, h] = camera.canvasSize;
    const corners = [[0, 0], [w, 0], [w, h], [0, h]];
    this.#report(corners.map(([x, y]) => this.#cornerAt(x, y)), event);
  }

  /**
   * The corner of an outline at a CSS pixel of the canvas.
   *
   * @param {number} x
   * @param {number} y
   * @returns {[number, number]}
   */
  #cornerAt(x, y) {
    const [right, up] = this.scatter.camera.toPlane(x, y);
    return [round6(right), round6(up)];
  }

  /**
   * @param {DrawnLasso["outline"]} outline
   * @param {PointerEvent | KeyboardEvent} event
   */
  #report(outline, { shiftKey, altKey }) {
    const mode = altKey ? "remove" : shiftKey ? "add" : this.mode;
    const { dimension: d, yaw, pitch } = this.scatter.camera;
    this.onComplete({ d, yaw: round6(yaw), pitch: round6(pitch), outline }, mode);
  }

  #clear() {
    this.#lastPixel = null;
    this.outline = [];
    this.onChange();
  }
}
