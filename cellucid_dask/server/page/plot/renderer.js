// The WebGL2 side of the scatter plot: a context, its buffers, and drawing a part of the cells or
// edges. The graphics card holds positions, codes and palettes, so a change of colors, range,
// filter or view sends a few numbers and no cells.

import { createContext } from "./context.js";
import { toDrawnPoints } from "./drawn-points.js";
import { createHeightOf } from "./heights.js";
import { HiddenPicture } from "./hidden-picture.js";
import { ATTRIBUTES, createCellProgram, createEdgeProgram } from "./shaders.js";

export const CELLS_PER_STEP = 50_000; // cells of a large dataset that one call draws
const MAX_SLICES = 21; // the stride of an attribute is at most 255 bytes, and a position has 12
export const EDGE_SLICES = 16; // edges are in an order in which each slice is an even sample
const [POSITION, CODE, FLAGS] = ATTRIBUTES.keys();
const INDEX_ARRAYS = ["edges", "topmost", "ordered", "sample"];

/** How cells and edges look; the uniforms of the shaders explain the parts. */
const DEFAULT_APPEARANCE = {
  columnKind: 0, decoding: [0, 0, 0, 0], range: [0, 1], useLog: false, opacity: 1,
  highlightedCode: -1, showsContext: false, context: [0, 0, 0], plain: [0, 0, 0],
  missing: [0, 0, 0], zero: [0, 0, 0], zeroCode: -1, background: [255, 255, 255],
  edge: [0, 0, 0, 0], pointSize: 3, hasMissing: false,
};

/** @typedef {typeof DEFAULT_APPEARANCE} Appearance */

/** Draws parts of the cells and edges. Whoever extends it sets `camera`. */
export class Renderer {
  appearance = { ...DEFAULT_APPEARANCE };
  /** @type {Float32Array} */
  points = new Float32Array(0); // as drawn: (n, width)
  width = 2;
  /** @type {import("./camera.js").Camera} */
  camera;
  /**
   * What the graphics card holds, by name, to upload it again after a context loss.
   *
   * @type {Record<string, any> & { palette?: Uint8Array }}
   */
  arrays = {};
  /** @type {Record<string, any>} */
  buffers = {};
  /** @type {HiddenPicture} */
  hiddenPicture;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.#createContext();
  }

  get nCells() {
    return this.points.length / this.width;
  }

  /**
   * Shows (n, dimension) positions.
   *
   * @param {Float32Array} points
   * @param {number} dimension
   */
  setPoints(points, dimension) {
    this.points = toDrawnPoints(points, dimension);
    this.width = Math.max(2, dimension);
    this.camera.dimension = dimension;
    this.upload("position", this.points);
  }

  /**
   * Codes of all cells, uint8, uint16 or float32; null for none.
   *
   * @param {import("../data/columns.js").Codes | null} codes
   */
  set codes(codes) {
    this.upload("code", codes);
  }

  /**
   * A byte for every cell: bit 0 filtered out, bit 1 faded; null if all are 0.
   *
   * @param {Uint8Array | null} flags
   */
  set flags(flags) {
    this.upload("flags", flags);
  }

  /**
   * RGBA bytes of codes.
   *
   * @param {Uint8Array} palette
   */
  set palette(palette) {
    this.upload("palette", palette);
  }

  /**
   * Indices of cells, two for every edge; null for no edges.
   *
   * @param {Uint32Array | null} pairs
   */
  set edges(pairs) {
    this.upload("edges", pairs);
  }

  /** Radius of a cell in CSS pixels, before the perspective. */
  get radius() {
    return this.cellSize(1) / 2;
  }

  /**
   * Diameter of a cell in pixels, before the perspective.
   *
   * @param {number} pixelRatio
   */
  cellSize(pixelRatio) {
    return this.appearance.pointSize * pixelRatio * this.camera.relativeZoom ** 0.35;
  }

  /** Number of parts in which the cells are drawn. */
  get nSlices() {
    return Math.max(1, Math.min(MAX_SLICES, Math.ceil(this.nCells / CELLS_PER_STEP)));
  }

  /** Part of the depth in 1D and 2D that is for the order of cells. */
  get orderShare() {
    return this.appearance.columnKind === 2 ? 1 / 256 : 1;
  }

  /** A function (i, depth) to the height of a cell; see heights.js. */
  createHeightOf() {
    return createHeightOf(this.appearance, this.arrays, this.nCells, this.orderShare);
  }

  /** Creates a new context with the same data, after the browser lost the old one. */
  restoreContext() {
    this.#createContext();
    Object.entries(this.arrays).forEach(([name, array]) => this.upload(name, array));
  }

  #createContext() {
    const gl = createContext(this.canvas);
    this.cellProgram = createCellProgram(gl);
    this.edgeProgram = createEdgeProgram(gl);
    this.gl = gl;
    this.buffers = {};
    this.hiddenPicture = new HiddenPicture(gl);
  }

  /**
   * Sends an array to the graphics card; null or an empty one removes what is there.
   *
   * @param {string} name
   * @param {any} array a typed array, or null
   */
  upload(name, array) {
    const { gl } = this;
    this.arrays[name] = array;
    if (name === "palette") {
      this.#uploadPalette(array);
      return;
    }
    const target = INDEX_ARRAYS.includes(name) ? gl.ELEMENT_ARRAY_BUFFER : gl.ARRAY_BUFFER;
    gl.deleteBuffer(this.buffers[name]);
    delete this.buffers[name];
    if (!array?.length) return;
    gl.bindBuffer(target, (this.buffers[name] = gl.createBuffer()));
    gl.bufferData(target, array, gl.STATIC_DRAW);
  }

  /**
   * As a texture with 256 colors in a row.
   *
   * @param {Uint8Array} palette
   */
  #uploadPalette(palette) {
    const { gl } = this;
    const rows = Math.ceil(palette.length / 1024);
    const padded = new Uint8Array(1024 * rows);
    padded.set(palette);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, rows, 0, gl.RGBA, gl.UNSIGNED_BYTE, padded);
  }

  /**
   * Clears the canvas, and draws on it from now on.
   *
   * @param {number} width
   * @param {number} height
   */
  clear(width, height) {
    this.gl.bindFramebuffer(this.gl.FRAMEBUFFER, null);
    this.#clearPicture(width, height);
  }

  /**
   * Draws on an empty hidden picture of the size of the canvas from now on.
   *
   * @param {number} width
   * @param {number} height
   */
  beginHidden(width, height) {
    this.hiddenPicture.bind(width, height);
    this.#clearPicture(width, height);
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  #clearPicture(width, height) {
    const { gl, appearance } = this;
    gl.viewport(0, 0, width, height);
    const [red, green, blue] = appearance.background.map((byte) => byte / 255);
    gl.clearColor(red, green, blue, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (appearance.opacity < 1) gl.disable(gl.DEPTH_TEST);
    else gl.enable(gl.DEPTH_TEST);
  }

  /**
   * Draws one slice of the edges; their depth is behind all cells.
   *
   * @param {number} slice
   * @param {number[]} tile
   */
  drawEdges(slice, tile) {
    const { gl, edgeProgram: { program, uniforms } } = this;
    gl.useProgram(program);
    this.#setProjection(uniforms, tile);
    gl.uniform4fv(uniforms.color, this.appearance.edge);
    this.#bindAttribute(POSITION, this.width, 0, 1);
    [CODE, FLAGS].forEach((location) => gl.disableVertexAttribArray(location));
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.edges);
    const nEdges = this.arrays.edges.length / 2;
    const [from, to] = [slice, slice + 1].map((i) => Math.floor((i * nEdges) / EDGE_SLICES));
    gl.drawElements(gl.LINES, 2 * (to - from), gl.UNSIGNED_INT, 8 * from);
  }

  /**
   * Draws one slice of the cells: every `nSlices`th cell, from the `slice`th on.
   *
   * @param {number} slice
   * @param {number} nSlices
   * @param {number} pixelRatio
   * @param {number[]} tile
   */
  drawCells(slice, nSlices, pixelRatio, tile) {
    const { gl } = this;
    this.#useCellProgram(slice, nSlices, pixelRatio, tile);
    gl.drawArrays(gl.POINTS, 0, Math.ceil((this.nCells - slice) / nSlices));
  }

  /**
   * Functions (pixelRatio, tile) that draw the cells of these indices, some in each call.
   *
   * @param {"topmost" | "ordered" | "sample"} name that the array has on the graphics card
   * @param {Uint32Array} indices
   * @returns {import("./scatter.js").Step[]}
   */
  createIndexedSteps(name, indices) {
    const { gl } = this;
    if (this.arrays[name] !== indices) this.upload(name, indices);
    const length = Math.ceil(indices.length / CELLS_PER_STEP);
    return Array.from({ length }, (_, i) => (pixelRatio, tile) => {
      this.#useCellProgram(0, 1, pixelRatio, tile);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers[name]);
      const n = Math.min(CELLS_PER_STEP, indices.length - i * CELLS_PER_STEP);
      gl.drawElements(gl.POINTS, n, gl.UNSIGNED_INT, 4 * i * CELLS_PER_STEP);
    });
  }

  /**
   * @param {Record<string, WebGLUniformLocation>} uniforms
   * @param {number[]} tile
   */
  #setProjection(uniforms, tile) {
    const { gl, camera } = this;
    gl.uniformMatrix3fv(uniforms.rotation, false, camera.rotation);
    gl.uniform2fv(uniforms.scale, camera.scale);
    gl.uniform2fv(uniforms.pan, camera.pan);
    gl.uniform1f(uniforms.eyeDistance, camera.eyeDistance);
    gl.uniform4fv(uniforms.tile, tile);
  }

  /**
   * @param {number} slice
   * @param {number} nSlices
   * @param {number} pixelRatio
   * @param {number[]} tile
   */
  #useCellProgram(slice, nSlices, pixelRatio, tile) {
    const { gl, appearance, cellProgram: { program, uniforms } } = this;
    gl.useProgram(program);
    this.#setProjection(uniforms, tile);
    gl.uniform1f(uniforms.size, this.cellSize(pixelRatio));
    gl.uniform1i(uniforms.columnKind, appearance.columnKind);
    gl.uniform4fv(uniforms.decoding, appearance.decoding);
    gl.uniform2fv(uniforms.range, appearance.range);
    gl.uniform1i(uniforms.useLog, Number(appearance.useLog));
    gl.uniform1i(uniforms.showsContext, Number(appearance.showsContext));
    gl.uniform1f(uniforms.zeroCode, appearance.zeroCode);
    gl.uniform1f(uniforms.highlightedCode, appearance.highlightedCode);
    gl.uniform1f(uniforms.opacity, appearance.opacity);
    const { plain, missing, zero, context, background } = appearance;
    for (const [name, rgb] of Object.entries({ plain, missing, zero, context, background })) {
      gl.uniform3fv(uniforms[name], rgb.map((byte) => byte / 255));
    }
    this.#bindAttribute(POSITION, this.width, slice, nSlices);
    for (const location of [CODE, FLAGS]) this.#bindAttribute(location, 1, slice, nSlices);
    gl.uniform3f(uniforms.order, slice / this.nCells, nSlices / this.nCells, this.orderShare);
  }

  /**
   * Reads the attribute from its buffer, for every `nSlices`th cell; 0 if there is no buffer.
   *
   * @param {number} location
   * @param {number} width
   * @param {number} slice
   * @param {number} nSlices
   */
  #bindAttribute(location, width, slice, nSlices) {
    const { gl } = this;
    const name = ATTRIBUTES[location];
    if (!this.buffers[name]) {
      gl.disableVertexAttribArray(location);
      gl.vertexAttrib1f(location, 0);
      return;
    }
    const { BYTES_PER_ELEMENT: itemBytes } = this.arrays[name];
    const type = [0, gl.UNSIGNED_BYTE, gl.UNSIGNED_SHORT, 0, gl.FLOAT][itemBytes];
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.enableVertexAttribArray(location);
    const bytes = width * itemBytes;
    gl.vertexAttribPointer(location, width, type, false, nSlices * bytes, slice * bytes);
  }
}
