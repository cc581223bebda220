// Draws cells and edges with WebGL2. The card holds positions, codes and palettes, so that a
// change of colours, range, filter or view sends numbers and no cells.

import { Camera } from "./camera.js";
import { ATTRIBUTES, cellProgram, edgeProgram } from "./shaders.js";
import { layers, onTop } from "./top.js";

const SLICE = 50_000; // cells that are drawn in one call, of large datasets
const MOST_SLICES = 21; // a stride has at most 255 bytes, a place 12
export const EDGE_SLICES = 16; // edges come in an order of which each is a fair sample
const PAUSE = 100; // milliseconds from the cells on top to those beneath
const MANY = 4; // slices that are left after the first frame, of a card that is slow
const FIRST = 30; // milliseconds that the first frame of a picture may take, and each later one
const LATER = 90;
const [POSITION, CODE, OUTLIER, SELECTED] = ATTRIBUTES.keys();

/** How cells look; a change is drawn in the next frame. */
const LOOK = {
  kind: 0, decode: [0, 0, 0, 0], range: [0, 1], logarithmic: false, opacity: 1,
  filtered: [2, 2], plain: [0, 0, 0], missing: [0, 0, 0], ground: [255, 255, 255],
  edge: [0, 0, 0, 0], pointSize: 3, beneath: false,
};

/**
 * A scatter plot on a canvas; `painted()` is called when a picture begins.
 *
 * A picture is drawn in steps of every so manieth cell, as many in a frame as the card is quick: a
 * view that moves shows a fair sample of the cells. Where much is left when it rests, the cells
 * that are on top of a pixel come before the others.
 */
export class Scatter {
  look = { ...LOOK };
  points = new Float32Array(0); // as they are drawn: (n, width)
  width = 2;
  #held = {}; // what the card holds, to send it again after it lost it
  #steps = []; // of the picture that are still to be drawn
  #fresh = true; // whether a picture is to begin
  #whole = false; // whether no cell of it goes before others
  #rest = 0; // steps at its end that change little
  #frame = 0;
  #finished = null; // resolves when the picture is there
  #cost = 8; // milliseconds of a step
  #sync = null; // tells when the card has drawn what it was given
  #given = [0, 0]; // when, and how many steps

  constructor(canvas, painted) {
    Object.assign(this, { canvas, painted });
    this.#start();
    this.camera = new Camera(canvas, () => this.draw());
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.#start();
      this.#sync = null; // of the card that was lost
      Object.entries(this.#held).forEach(([name, held]) => this.#send(name, held));
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Whether all of the picture is there. */
  get rests() {
    return !this.#fresh && !this.#steps.length && !this.#sync;
  }

  get nCells() {
    return this.points.length / this.width;
  }

  /** Shows (n, dimension) positions. */
  setPoints(points, dimension) {
    this.points = asDrawn(points, dimension);
    this.width = Math.max(2, dimension);
    this.camera.dimension = dimension;
    this.#send("position", this.points);
  }

  /** Codes of all cells, uint8, uint16 or float32; null for none. */
  set codes(codes) {
    this.#send("code", codes);
  }

  /** Outlier codes of all cells; null for none. */
  set outliers(codes) {
    this.#send("outlier", codes);
  }

  /** A byte for every cell, 1 where it is selected; null to select none. */
  set selected(marks) {
    this.#send("selected", marks);
  }

  /** RGBA bytes of codes. */
  set palette(table) {
    this.#send("palette", table);
  }

  /** Indices of cells, two for every edge; null for none. */
  set edges(pairs) {
    this.#send("edges", pairs);
  }

  /** Draws soon; resolves when all is there but rims of cells that lie under others. */
  draw() {
    this.#fresh = true;
    this.#finished ??= Promise.withResolvers();
    this.#again();
    return this.#finished.promise;
  }

  /** Draws all cells at `ratio` pixels for each CSS pixel, part by part, onto a 2D context. */
  paintTo(context, ratio) {
    const { canvas, gl } = this;
    const kept = [canvas.width, canvas.height];
    const [width, height] = this.camera.extent.map((length) => Math.round(length * ratio));
    if (gl.isContextLost()) throw new Error("The graphics card was lost; load the page again.");
    const most = Math.min(2048, gl.getParameter(gl.MAX_RENDERBUFFER_SIZE));
    // Points are cut where their centre is outside; perspective at most doubles a radius.
    const [, largest] = gl.getParameter(gl.ALIASED_POINT_SIZE_RANGE);
    const rim = Math.ceil(Math.min(this.#size(ratio), largest / 2, most / 4));
    const inner = most - 2 * rim;
    canvas.width = canvas.height = most;
    const steps = this.#plan();
    for (let y = 0; y < height; y += inner) {
      for (let x = 0; x < width; x += inner) {
        const shift = [(width - 2 * (x - rim)) / most - 1, 1 - (height - 2 * (y - rim)) / most];
        this.#begin(most, most);
        const tile = [width / most, height / most, ...shift];
        steps.forEach((step) => step(ratio, tile));
        const [w, h] = [Math.min(inner, width - x), Math.min(inner, height - y)];
        context.drawImage(canvas, rim, rim, w, h, x, y, w, h);
      }
    }
    [canvas.width, canvas.height] = kept;
    this.draw();
  }

  #start() {
    const gl = this.canvas.getContext("webgl2", {
      alpha: false, antialias: false, preserveDrawingBuffer: true, // a picture takes many frames
    });
    if (!gl) throw new Error("This browser offers no WebGL2, which drawing the cells needs.");
    this.cells = cellProgram(gl);
    this.lines = edgeProgram(gl);
    gl.enable(gl.BLEND); // soft edges; multisampling would take three times as long
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.depthFunc(gl.LEQUAL);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
      gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
    }
    this.gl = gl;
    this.buffers = {};
  }

  #send(name, held) {
    const { gl } = this;
    this.#held[name] = held;
    if (name === "palette") {
      const rgba = [gl.RGBA, gl.UNSIGNED_BYTE];
      const rows = Math.ceil(held.length / 1024);
      const whole = new Uint8Array(1024 * rows);
      whole.set(held);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, rows, 0, ...rgba, whole);
      return;
    }
    const target = name === "edges" || name === "top" ? gl.ELEMENT_ARRAY_BUFFER : gl.ARRAY_BUFFER;
    gl.deleteBuffer(this.buffers[name]);
    delete this.buffers[name];
    if (!held?.length) return;
    gl.bindBuffer(target, (this.buffers[name] = gl.createBuffer()));
    gl.bufferData(target, held, gl.STATIC_DRAW);
  }

  /** Points the attribute at its buffer, at every `n`th cell; at a constant without one. */
  #attribute(at, width, first, n) {
    const { gl } = this;
    const held = this.#held[ATTRIBUTES[at]];
    if (!this.buffers[ATTRIBUTES[at]]) {
      gl.disableVertexAttribArray(at);
      gl.vertexAttrib1f(at, 0);
      return;
    }
    const type = { 1: gl.UNSIGNED_BYTE, 2: gl.UNSIGNED_SHORT, 4: gl.FLOAT }[held.BYTES_PER_ELEMENT];
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[ATTRIBUTES[at]]);
    gl.enableVertexAttribArray(at);
    const bytes = width * held.BYTES_PER_ELEMENT;
    gl.vertexAttribPointer(at, width, type, false, n * bytes, first * bytes);
  }

  #size(ratio) {
    return this.look.pointSize * ratio * this.camera.zoom ** 0.35;
  }

  /** Radius of a cell in CSS pixels, before the perspective. */
  get radius() {
    return this.#size(1) / 2;
  }

  #paint(now) {
    this.#frame = 0;
    const { gl, canvas, camera, look } = this;
    if (this.#busy(now)) return;
    const ratio = Math.min(2, window.devicePixelRatio);
    const begins = this.#fresh;
    if (begins) {
      this.#fresh = false;
      const [width, height] = camera.extent.map((length) => Math.round(length * ratio));
      const fits = canvas.width === width && canvas.height === height;
      if (!fits) Object.assign(canvas, { width, height });
      this.#begin(width, height);
      this.#steps = this.#plan();
      this.#whole = look.opacity < 1;
      this.#rest = 0;
      this.painted();
    } else if (!this.#whole) this.#topFirst(ratio);
    const share = Math.round((begins ? FIRST : LATER) / this.#cost);
    const steps = this.#steps.splice(0, Math.max(1, share));
    steps.forEach((step) => step(ratio, [1, 1, 0, 0]));
    this.#sync = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    this.#given = [now, steps.length];
    gl.flush();
    this.#again();
  }

  #again() {
    this.#frame ||= requestAnimationFrame((now) => this.#paint(now));
  }

  /** Whether the card still draws, or all is drawn; more would only wait in a queue. */
  #busy(now) {
    const { gl } = this;
    if (!this.#sync) return false;
    if (gl.getSyncParameter(this.#sync, gl.SYNC_STATUS) !== gl.SIGNALED && !gl.isContextLost()) {
      this.#again();
      return true;
    }
    gl.deleteSync(this.#sync);
    this.#sync = null;
    const [given, steps] = this.#given;
    if (steps) this.#cost = Math.min(LATER, Math.max(0.5, (now - given) / steps));
    if (this.#fresh) return false;
    const left = this.#steps.length;
    if (!this.#finished || left > this.#rest) return !left;
    this.#finished.resolve();
    this.#finished = null;
    if (left) setTimeout(() => this.#again(), PAUSE);
    return true;
  }

  #begin(width, height) {
    const { gl, look } = this;
    gl.viewport(0, 0, width, height);
    gl.clearColor(...look.ground.map((byte) => byte / 255), 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (look.opacity < 1) gl.disable(gl.DEPTH_TEST);
    else gl.enable(gl.DEPTH_TEST);
  }

  /** Puts the cells that are on top of a pixel before the steps that are left. */
  #topFirst(ratio) {
    const { gl, canvas, camera, look } = this;
    this.#whole = true;
    const others = this.#steps.filter((step) => !step.edges);
    const edges = this.#steps.filter((step) => step.edges);
    if (others.length <= MANY) return;
    const found = onTop(this.points, this.width, camera, {
      extent: [canvas.width, canvas.height],
      radius: this.#size(ratio),
      layer: layers(look, this.#held),
      share: this.#shareOfIndex,
    });
    if (found.length > (0.8 * others.length * this.nCells) / this.#slices) return;
    this.#send("top", found);
    const tops = Array.from({ length: Math.ceil(found.length / SLICE) }, (_, i) => (each, tile) => {
      this.#useCells(0, 1, each, tile);
      gl.uniform1i(this.cells.at.part, 0);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.top);
      const n = Math.min(SLICE, found.length - i * SLICE);
      gl.drawElements(gl.POINTS, n, gl.UNSIGNED_INT, 4 * i * SLICE);
    });
    this.#steps = [...tops, ...edges, ...others];
    this.#rest = others.length;
  }

  get #slices() {
    return Math.max(1, Math.min(MOST_SLICES, Math.ceil(this.nCells / SLICE)));
  }

  /** How much of the depth of flat views is for the order of cells. */
  get #shareOfIndex() {
    return this.look.kind === 2 ? 1 / 256 : 1;
  }

  #edgeSteps() {
    if (!this.buffers.edges) return [];
    return Array.from({ length: EDGE_SLICES }, (_, i) =>
      Object.assign((_ratio, tile) => this.#drawEdges(i, tile), { edges: true }));
  }

  /** The steps of a picture: functions of the ratio and the tile. */
  #plan() {
    const { look, buffers } = this;
    const n = this.#slices;
    const through = look.opacity < 1; // then all are seen, whatever lies on them
    const parts = through && (look.beneath || buffers.selected) ? [1, 2] : [0];
    const cells = parts.flatMap((part) => Array.from({ length: n }, (_, i) =>
      (ratio, tile) => this.#drawCells(part, i, n, ratio, tile)));
    const edges = this.#edgeSteps();
    if (!this.nCells) return [];
    return through ? [...edges, ...cells] : [...edges.slice(0, 1), ...cells, ...edges.slice(1)];
  }

  #place({ at }, tile) {
    const { gl, camera } = this;
    gl.uniformMatrix3fv(at.turn, false, camera.matrix);
    gl.uniform2fv(at.scale, camera.scale);
    gl.uniform2fv(at.pan, camera.pan);
    gl.uniform1f(at.eye, camera.eye);
    gl.uniform4fv(at.tile, tile);
  }

  /** Draws a part of the edges; their depth is behind all cells. */
  #drawEdges(slice, tile) {
    const { gl, lines, look } = this;
    gl.useProgram(lines.made);
    this.#place(lines, tile);
    gl.uniform4fv(lines.at.colour, look.edge);
    this.#attribute(POSITION, this.width, 0, 1);
    [CODE, OUTLIER, SELECTED].forEach((at) => gl.disableVertexAttribArray(at));
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.edges);
    const pairs = this.#held.edges.length / 2;
    const [from, to] = [slice, slice + 1].map((i) => Math.floor((i * pairs) / EDGE_SLICES));
    gl.drawElements(gl.LINES, 2 * (to - from), gl.UNSIGNED_INT, 8 * from);
  }

  /** Draws every `n`th cell from the `slice`th on. */
  #drawCells(part, slice, n, ratio, tile) {
    const { gl } = this;
    this.#useCells(slice, n, ratio, tile);
    gl.uniform1i(this.cells.at.part, part);
    gl.drawArrays(gl.POINTS, 0, Math.ceil((this.nCells - slice) / n));
  }

  #useCells(slice, n, ratio, tile) {
    const { gl, look, cells: { made, at } } = this;
    gl.useProgram(made);
    this.#place({ at }, tile);
    gl.uniform1f(at.size, this.#size(ratio));
    gl.uniform1i(at.kind, look.kind);
    gl.uniform4fv(at.decode, look.decode);
    gl.uniform2fv(at.range, look.range);
    gl.uniform1i(at.logarithmic, Number(look.logarithmic));
    gl.uniform1i(at.choosing, Number(Boolean(this.buffers.selected)));
    gl.uniform2fv(at.filtered, look.filtered);
    gl.uniform1f(at.opacity, look.opacity);
    for (const name of ["plain", "missing", "ground"]) {
      gl.uniform3fv(at[name], look[name].map((byte) => byte / 255));
    }
    this.#attribute(POSITION, this.width, slice, n);
    [CODE, OUTLIER, SELECTED].forEach((each) => this.#attribute(each, 1, slice, n));
    gl.uniform3f(at.order, slice / this.nCells, n / this.nCells, this.#shareOfIndex);
  }
}

/** (n, 2) or (n, 3) places of cells: in 1D with heights that look random and stay. */
export function asDrawn(points, dimension) {
  if (dimension > 1) return points;
  const placed = new Float32Array(2 * points.length);
  for (let i = 0; i < points.length; i++) {
    const hash = Math.imul(Math.imul(i + 1, 0x9e3779b1) ^ (i >>> 7), 0x85ebca6b);
    placed[2 * i] = points[i];
    placed[2 * i + 1] = ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 34 - 0.125;
  }
  return placed;
}
