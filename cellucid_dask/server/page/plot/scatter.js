// The scatter plot: decides what to draw in which frame, so that the page stays responsive with
// millions of cells.

import { Camera } from "./camera.js";
import { orderCells, sampleCells } from "./draw-order.js";
import { CELLS_PER_STEP, EDGE_SLICES, Renderer } from "./renderer.js";
import { topmostCells } from "./topmost.js";

const TOPMOST_PAUSE_MS = 100; // between the topmost cells and the covered ones
const SLOW_STEPS = 4; // if more cell steps are left after the first frame, the card is slow
const FIRST_FRAME_MS = 30; // how long the first frame of a picture may take, and each later one
const LATER_FRAME_MS = 90;
const MAX_TILE = 2048; // pixels on a side of a tile of a saved picture
const WHOLE_CANVAS = [1, 1, 0, 0]; // a tile

/** @typedef {((pixelRatio: number, tile: number[]) => void) & {isEdges?: boolean}} Step */

/**
 * A scatter plot on a canvas; calls `onPictureStart()` when it begins a picture.
 *
 * It draws a picture in steps. Each step draws an even sample of the cells, and a frame has as many
 * steps as the graphics card has time for, so a view that moves shows a sample of the cells. If the
 * view rests and many steps are left, the topmost cell of each pixel comes before the other cells.
 * Translucent cells of a column with values must be drawn from the bottom to the top: a sample comes
 * first, then a hidden picture of all cells, which replaces it when it is complete.
 *
 * A step is a function (pixelRatio, tile); `isEdges` marks a step that draws edges.
 */
export class Scatter extends Renderer {
  /** @type {Step[]} */
  #steps = []; // of the picture that are not drawn yet
  #isStale = true; // whether a new picture must begin
  #isTopmostDecided = false; // whether the topmost cells were moved forward, or need not be
  #lateSteps = 0; // number of steps at the end that hardly change the picture
  #frameRequest = 0;
  /** @type {PromiseWithResolvers<void> | null} */
  #completion = null; // its promise resolves when the picture is complete but for the late steps
  #stepMs = 8; // measured duration of a step
  /** @type {WebGLSync | null} */
  #fence = null; // signals that the graphics card has drawn what was submitted
  #submitted = { time: 0, steps: 0 };
  /** @type {{basis: unknown[], order: Uint32Array, stride: number, sample: Uint32Array}} */
  #ordered = { basis: [], order: new Uint32Array(0), stride: 0, sample: new Uint32Array(0) };

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} onPictureStart
   */
  constructor(canvas, onPictureStart) {
    super(canvas);
    this.onPictureStart = onPictureStart;
    this.camera = new Camera(canvas, () => this.draw());
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.#fence = null; // it was of the lost context
      this.restoreContext();
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Whether the whole picture is drawn. */
  get isIdle() {
    return !this.#isStale && !this.#steps.length && !this.#fence;
  }

  /** Begins a new picture; resolves when it is complete but for the rims of covered cells. */
  draw() {
    this.#isStale = true;
    this.#completion ??= Promise.withResolvers();
    this.#requestFrame();
    return this.#completion.promise;
  }

  /**
   * Draws all cells at `pixelRatio` pixels per CSS pixel, tile by tile, onto a 2D context.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {number} pixelRatio
   */
  drawTo(context, pixelRatio) {
    const { canvas, gl } = this;
    const canvasSize = [canvas.width, canvas.height];
    const [width, height] = this.camera.canvasSize.map((length) => Math.round(length * pixelRatio));
    if (gl.isContextLost()) {
      throw new Error("The browser lost the graphics card; reload the page.");
    }
    const side = Math.min(MAX_TILE, gl.getParameter(gl.MAX_RENDERBUFFER_SIZE));
    // WebGL drops a point whose center is outside, so tiles overlap by a rim of the radius of a
    // cell, which the perspective at most doubles.
    const [, maxPointSize] = gl.getParameter(gl.ALIASED_POINT_SIZE_RANGE);
    const rim = Math.ceil(Math.min(this.cellSize(pixelRatio), maxPointSize / 2, side / 4));
    const inner = side - 2 * rim;
    canvas.width = canvas.height = side;
    const steps = this.#planSteps();
    for (let y = 0; y < height; y += inner) {
      for (let x = 0; x < width; x += inner) {
        const shift = [(width - 2 * (x - rim)) / side - 1, 1 - (height - 2 * (y - rim)) / side];
        this.clear(side, side);
        const tile = [width / side, height / side, ...shift];
        steps.forEach((step) => step(pixelRatio, tile));
        const [w, h] = [Math.min(inner, width - x), Math.min(inner, height - y)];
        context.drawImage(canvas, rim, rim, w, h, x, y, w, h);
      }
    }
    [canvas.width, canvas.height] = canvasSize;
    this.draw();
  }

  #requestFrame() {
    this.#frameRequest ||= requestAnimationFrame((now) => this.#drawFrame(now));
  }

  /** @param {number} now */
  #drawFrame(now) {
    this.#frameRequest = 0;
    const { gl } = this;
    if (this.#mustWait(now)) return;
    const pixelRatio = Math.min(2, window.devicePixelRatio);
    const isFirstFrame = this.#isStale;
    if (isFirstFrame) this.#beginPicture(pixelRatio);
    else if (!this.#isTopmostDecided) this.#moveTopmostForward(pixelRatio);
    const nSteps = this.#countSteps(isFirstFrame ? FIRST_FRAME_MS : LATER_FRAME_MS);
    const steps = this.#steps.splice(0, nSteps);
    steps.forEach((step) => step(pixelRatio, WHOLE_CANVAS));
    this.#fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    this.#submitted = { time: now, steps: steps.length };
    gl.flush();
    this.#requestFrame();
  }

  /**
   * How many steps the card has time for.
   *
   * @param {number} frameMs
   */
  #countSteps(frameMs) {
    return Math.max(1, Math.round(frameMs / this.#stepMs));
  }

  /**
   * Whether the card still draws or all is drawn; more commands would only wait in a queue.
   *
   * @param {number} now
   */
  #mustWait(now) {
    const { gl } = this;
    if (!this.#fence) return false;
    const isSignaled = gl.getSyncParameter(this.#fence, gl.SYNC_STATUS) === gl.SIGNALED;
    if (!isSignaled && !gl.isContextLost()) {
      this.#requestFrame();
      return true;
    }
    gl.deleteSync(this.#fence);
    this.#fence = null;
    const { time, steps } = this.#submitted;
    if (steps) this.#stepMs = Math.min(LATER_FRAME_MS, Math.max(0.5, (now - time) / steps));
    if (this.#isStale) return false;
    const stepsLeft = this.#steps.length;
    if (!this.#completion || stepsLeft > this.#lateSteps) return !stepsLeft;
    this.#completion.resolve();
    this.#completion = null;
    if (stepsLeft) setTimeout(() => this.#requestFrame(), TOPMOST_PAUSE_MS);
    return true;
  }

  /** @param {number} pixelRatio */
  #beginPicture(pixelRatio) {
    const { canvas, camera } = this;
    this.#isStale = false;
    const [width, height] = camera.canvasSize.map((length) => Math.round(length * pixelRatio));
    const isSameSize = canvas.width === width && canvas.height === height;
    if (!isSameSize) Object.assign(canvas, { width, height });
    this.clear(width, height);
    this.#steps = this.#planSteps();
    const nFirst = this.#countSteps(FIRST_FRAME_MS);
    if (this.#isOrdered && this.#steps.length > nFirst) {
      this.#steps = [
        ...this.#planSample(nFirst), () => this.beginHidden(width, height),
        ...this.#steps, () => this.hiddenPicture.show(),
      ];
    }
    this.#isTopmostDecided = this.appearance.opacity < 1; // then covered cells are visible too
    this.#lateSteps = 0;
    this.onPictureStart();
  }

  /**
   * All steps of a picture.
   *
   * @returns {Step[]}
   */
  #planSteps() {
    if (!this.nCells) return [];
    const edges = this.#planEdgeSteps();
    if (this.#isOrdered) return [...edges, ...this.createIndexedSteps("ordered", this.#findOrder())];
    const { nSlices } = this;
    const cells = Array.from({ length: nSlices }, (_, slice) =>
      (/** @type {number} */ pixelRatio, /** @type {number[]} */ tile) =>
        this.drawCells(slice, nSlices, pixelRatio, tile));
    return [...edges.slice(0, 1), ...cells, ...edges.slice(1)];
  }

  /** Whether the order of drawing is visible: of translucent cells that have no equal rank. */
  get #isOrdered() {
    const { appearance, buffers } = this;
    const { columnKind, hasMissing, highlightedCode, opacity } = appearance;
    return opacity < 1 && Boolean(
      columnKind === 2 || buffers.flags || buffers.edges || hasMissing || highlightedCode >= 0);
  }

  /** All cells that are drawn, from the bottom to the top; the view may move without a change. */
  #findOrder() {
    const { appearance, arrays, nCells } = this;
    const { columnKind, decoding, highlightedCode, range, showsContext, useLog, zeroCode } = appearance;
    const basis = [
      nCells, arrays.code, arrays.flags, columnKind === 1 && arrays.palette, columnKind, zeroCode,
      ...decoding, ...range, useLog, highlightedCode, showsContext,
    ];
    if (!basis.every((part, i) => part === this.#ordered.basis[i])) {
      const order = orderCells(this.createHeightOf(), nCells);
      this.#ordered = { basis, order, stride: 0, sample: order };
    }
    return this.#ordered.order;
  }

  /**
   * At most so many steps that draw an even sample of edges and ordered cells.
   *
   * @param {number} nSteps
   */
  #planSample(nSteps) {
    const edges = this.#planEdgeSteps().slice(0, 1);
    const order = this.#findOrder();
    const most = Math.max(1, nSteps - edges.length) * CELLS_PER_STEP;
    const stride = 2 ** Math.ceil(Math.log2(Math.max(1, order.length / most)));
    if (stride !== this.#ordered.stride) {
      Object.assign(this.#ordered, { stride, sample: sampleCells(order, stride) });
    }
    return [...edges, ...this.createIndexedSteps("sample", this.#ordered.sample)];
  }

  /** @returns {Step[]} */
  #planEdgeSteps() {
    if (!this.buffers.edges) return [];
    return Array.from({ length: EDGE_SLICES }, (_, slice) =>
      Object.assign(
        (/** @type {number} */ _ratio, /** @type {number[]} */ tile) => this.drawEdges(slice, tile),
        { isEdges: true }));
  }

  /**
   * Puts steps that draw the topmost cells before the steps that are left.
   *
   * @param {number} pixelRatio
   */
  #moveTopmostForward(pixelRatio) {
    const { canvas, camera } = this;
    this.#isTopmostDecided = true;
    const cellSteps = this.#steps.filter((step) => !step.isEdges);
    const edgeSteps = this.#steps.filter((step) => step.isEdges);
    if (cellSteps.length <= SLOW_STEPS) return;
    const topmost = topmostCells(this.points, this.width, camera, {
      size: [canvas.width, canvas.height],
      radius: this.cellSize(pixelRatio),
      heightOf: this.createHeightOf(),
    });
    const cellsLeft = (cellSteps.length * this.nCells) / this.nSlices;
    if (topmost.length > 0.8 * cellsLeft) return;
    this.#steps = [...this.createIndexedSteps("topmost", topmost), ...edgeSteps, ...cellSteps];
    this.#lateSteps = cellSteps.length;
  }
}
