// The viewpoint: a center and a zoom in every dimension, and a rotation in 3D.
//
// "Plane" coordinates are those of the embedding after rotation and perspective, before center and
// zoom. A viewpoint or an outline in plane coordinates is the same in a window of any size.

import { EYE_DISTANCE, project, rotationMatrix } from "./projection.js";

export const ZOOM_LIMITS = [0.2, 2000];
export const START_ROTATION = { yaw: 0.5, pitch: 0.4 };
/** @type {Record<string, [number, number]>} */
const MOVE_KEYS = {
  ArrowLeft: [-30, 0], ArrowRight: [30, 0], ArrowUp: [0, -30], ArrowDown: [0, 30],
};
/** @type {Record<string, number>} */
const ZOOM_KEYS = { "+": 1.25, "=": 1.25, "-": 0.8 };
const [MIN_ZOOM, MAX_ZOOM] = ZOOM_LIMITS;

/**
 * CSS pixels of a plane unit at zoom 1, so that -1 to 1 fits into the canvas.
 *
 * @param {number} dimension
 * @param {[width: number, height: number]} canvasSize
 */
export function pixelsPerUnit(dimension, canvasSize) {
  const side = dimension === 1 ? canvasSize[0] : Math.min(...canvasSize);
  const share = dimension === 3 ? 0.78 : 0.94; // perspective enlarges what is near
  return (share * side) / 2;
}

/** @typedef {import("./fitting.js").FittedView} FittedView */

/** A camera that listens to the pointers, the wheel and the keys of a canvas. */
export class Camera {
  dimension = 2;
  isDragEnabled = true; // false while the lasso uses the pointer
  usualZoom = 1; // at which cells have their usual size
  bandScale = 1; // height of the band of cells in 1D
  pivot = [0, 0, 0]; // position of the embedding around which it rotates in 3D
  /** @type {() => FittedView} */
  findStart = () => ({ center: [0, 0], zoom: 1, ...START_ROTATION, isStart: true });
  /** @type {FittedView} */
  fitted = null; // the last view that was fitted to cells
  #pointers = new Map();

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} onChange
   */
  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.onChange = onChange;
    this.reset();
    this.#listen();
  }

  /** Goes to the first view. */
  reset() {
    this.fit(this.findStart());
  }

  /**
   * Goes to a view that is fitted to cells.
   *
   * @param {FittedView} view
   */
  fit(view) {
    this.fitted = view;
    this.#set(view);
  }

  /** Whether the user has not moved since the last fit. */
  get isFitted() {
    return this.fitted !== null && this.#isAt(this.fitted);
  }

  /** Whether the user has not moved since the first view. */
  get isAtStart() {
    return this.isFitted && Boolean(this.fitted.isStart);
  }

  /**
   * Center x and y, zoom, and in 3D yaw and pitch, as an array; null for the first view.
   *
   * It is not null if the first view would be another one now, for example of other cells.
   */
  get viewpoint() {
    if (this.isAtStart && this.#isAt(this.findStart())) return null;
    const { center, zoom, yaw, pitch } = this;
    return [...center, zoom, ...(this.dimension === 3 ? [yaw, pitch] : [])];
  }

  set viewpoint(viewpoint) {
    this.fitted = null;
    if (!viewpoint) {
      this.reset();
      return;
    }
    const [x, y, zoom, yaw = START_ROTATION.yaw, pitch = START_ROTATION.pitch] = viewpoint;
    this.#set({ center: [x, y], zoom, yaw, pitch });
  }

  /** @param {FittedView} view */
  #isAt({ center, zoom, yaw, pitch }) {
    const isSamePlace = center.every((x, i) => x === this.center[i]) && zoom === this.zoom;
    return isSamePlace && (this.dimension < 3 || (yaw === this.yaw && pitch === this.pitch));
  }

  /** @param {FittedView} view */
  #set({ center, zoom, yaw, pitch }) {
    /** @type {number[]} */
    this.center = center;
    this.zoom = zoom;
    this.yaw = yaw;
    this.pitch = pitch;
    this.onChange();
  }

  /**
   * Width and height of the canvas in CSS pixels.
   *
   * @returns {[width: number, height: number]}
   */
  get canvasSize() {
    return [Math.max(1, this.canvas.clientWidth), Math.max(1, this.canvas.clientHeight)];
  }

  get rotation() {
    return rotationMatrix(this.dimension, this.yaw, this.pitch);
  }

  /** 0 without perspective, which is in 1D and 2D. */
  get eyeDistance() {
    return this.dimension === 3 ? EYE_DISTANCE : 0;
  }

  /** Clip units per plane unit. */
  get scale() {
    const { canvasSize: [width, height], dimension, zoom, bandScale } = this;
    const diameter = 2 * zoom * pixelsPerUnit(dimension, [width, height]);
    return [diameter / width, (diameter * (dimension === 1 ? bandScale : 1)) / height];
  }

  /** Zoom relative to that at which cells have their usual size. */
  get relativeZoom() {
    return this.zoom / this.usualZoom;
  }

  get pan() {
    return this.scale.map((scale, i) => -scale * this.center[i]);
  }

  /**
   * Plane coordinates of a CSS pixel of the canvas.
   *
   * @param {number} x
   * @param {number} y
   */
  toPlane(x, y) {
    const [width, height] = this.canvasSize;
    const clip = [(2 * x) / width - 1, 1 - (2 * y) / height];
    return this.scale.map((scale, i) => clip[i] / scale + this.center[i]);
  }

  /**
   * CSS pixel of the canvas of plane coordinates.
   *
   * @param {number} x
   * @param {number} y
   * @returns {[x: number, y: number]}
   */
  toPixel(x, y) {
    const [[width, height], scale] = [this.canvasSize, this.scale];
    return [
      ((scale[0] * (x - this.center[0]) + 1) * width) / 2,
      ((1 - scale[1] * (y - this.center[1])) * height) / 2,
    ];
  }

  /**
   * Moves by CSS pixels; in 3D this rotates, unless `panOnly`.
   *
   * @param {number} dx
   * @param {number} dy
   * @param {boolean} panOnly
   */
  move(dx, dy, panOnly) {
    if (this.dimension === 3 && !panOnly) {
      const before = project(this.pivot, this);
      this.yaw += dx / 150;
      this.pitch = Math.min(Math.PI / 2, Math.max(-Math.PI / 2, this.pitch + dy / 150));
      const after = project(this.pivot, this);
      this.center = this.center.map((x, i) => x + after[i] - before[i]);
    } else {
      const [[width, height], scale] = [this.canvasSize, this.scale];
      const [x, y] = this.center;
      this.center = [x - (2 * dx) / width / scale[0], y + (2 * dy) / height / scale[1]];
    }
    this.onChange();
  }

  /**
   * Zooms around the CSS pixel (x, y) of the canvas: what is there stays there.
   *
   * @param {number} factor
   * @param {number} x
   * @param {number} y
   */
  zoomAt(factor, x, y) {
    const before = this.toPlane(x, y);
    this.zoom = Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, this.zoom * factor));
    const after = this.toPlane(x, y);
    this.center = this.center.map((center, i) => center + before[i] - after[i]);
    this.onChange();
  }

  #listen() {
    /** @type {(type: string, listener: (event: any) => void) => void} */
    const on = (type, listener) => this.canvas.addEventListener(type, listener);
    /** @type {(event: PointerEvent) => [number, number]} */
    const clientPosition = ({ clientX, clientY }) => [clientX, clientY];
    on("pointerdown", (event) => {
      // Not movementX: some browsers give it in other pixels.
      this.#pointers.set(event.pointerId, clientPosition(event));
      this.canvas.setPointerCapture(event.pointerId);
    });
    for (const type of ["pointerup", "pointercancel"]) {
      on(type, (event) => this.#pointers.delete(event.pointerId));
    }
    on("pointermove", (event) => this.#onPointerMove(event, clientPosition(event)));
    on("contextmenu", (event) => event.preventDefault());
    on("dblclick", () => this.isDragEnabled && this.reset());
    on("wheel", (event) => {
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode ? 30 : 1) * (event.ctrlKey ? 5 : 1);
      const factor = Math.exp(-Math.max(-300, Math.min(300, pixels)) / 600);
      this.zoomAt(factor, event.offsetX, event.offsetY);
    });
    on("keydown", (event) => {
      const [width, height] = this.canvasSize;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (MOVE_KEYS[event.key]) this.move(...MOVE_KEYS[event.key], event.shiftKey);
      else if (ZOOM_KEYS[event.key]) this.zoomAt(ZOOM_KEYS[event.key], width / 2, height / 2);
      else if (event.key === "0") this.reset();
      else return;
      event.preventDefault();
    });
  }

  /**
   * @param {PointerEvent} event
   * @param {[number, number]} now CSS pixel of the window
   */
  #onPointerMove(event, now) {
    const last = this.#pointers.get(event.pointerId);
    if (!last || !this.isDragEnabled) return;
    this.#pointers.set(event.pointerId, now);
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId);
    if (!others.length) {
      this.move(now[0] - last[0], now[1] - last[1], event.shiftKey || event.buttons > 1);
      return;
    }
    const [, other] = others[0]; // two fingers: pinch to zoom, and move by half of each move
    const distance = (/** @type {[number, number]} */ [x, y]) => Math.max(1, Math.hypot(x - other[0], y - other[1]));
    const box = this.canvas.getBoundingClientRect();
    /** @type {[number, number]} */
    const middle = [(now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top];
    this.move((now[0] - last[0]) / 2, (now[1] - last[1]) / 2, true);
    this.zoomAt(distance(now) / distance(last), ...middle);
  }
}
