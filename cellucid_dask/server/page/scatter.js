// Draws cells as round points: one buffer of positions, one of colours, one draw call.

import { Camera } from "./camera.js";
import { bytes } from "./colours.js";

const VERTEX = `#version 300 es
in vec3 position;
in vec4 colour; // alpha is the layer: 0 hidden, 1/255 beneath all, else the order of flat views
uniform mat3 turn;
uniform vec2 scale, pan;
uniform float size, eye; // eye: how far away it is, 0 in flat views
flat out vec3 shade;
flat out float radius;

void main() {
  vec3 p = turn * position;
  float near = eye > 0. ? eye / (eye - p.z) : 1.;
  float depth = eye > 0. ? -p.z / 2. : 1. - 2. * colour.a;
  depth = depth / 2. + (colour.a < 1.5 / 255. ? 0.5 : -0.5);
  gl_Position = colour.a > 0. ? vec4(p.xy * scale * near + pan, depth, 1) : vec4(2, 2, 2, 1);
  gl_PointSize = size * near;
  radius = gl_PointSize / 2.;
  shade = colour.rgb;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
flat in vec3 shade;
flat in float radius;
out vec4 pixel;

void main() {
  float inside = (1. - length(gl_PointCoord * 2. - 1.)) * radius + 0.5;
  if (inside < 0.25) discard;
  pixel = vec4(shade, clamp(inside, 0., 1.));
}`;

/** A scatter plot on a canvas; a change is drawn in the next frame. */
export class Scatter {
  pointSize = 3;
  background = "#ffffff";
  #points = new Float32Array(0);
  #colours = new Uint8Array(0);
  #frame = null;

  constructor(canvas) {
    this.canvas = canvas;
    this.#start();
    this.camera = new Camera(canvas, () => this.draw());
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.#start();
      this.#upload(0, this.#points, Math.max(2, this.camera.dimension), this.gl.FLOAT);
      this.colours = this.#colours;
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Shows (n, dimension) positions from a fresh view. */
  setPoints(points, dimension) {
    this.#points = dimension === 1 ? spreadOut(points) : points;
    this.#upload(0, this.#points, Math.max(2, dimension), this.gl.FLOAT);
    this.camera.dimension = dimension;
    this.camera.reset();
  }

  /** RGBA bytes of every cell, as `colours.js` makes them; no cells without. */
  set colours(colours) {
    this.#colours = colours;
    this.#upload(1, colours, 4, this.gl.UNSIGNED_BYTE);
    this.draw();
  }

  /** Draws soon; resolves when that is done. */
  draw() {
    this.#frame ??= new Promise(requestAnimationFrame).then(() => {
      this.#frame = null;
      this.#paint();
    });
    return this.#frame;
  }

  #start() {
    const gl = this.canvas.getContext("webgl2", { alpha: false, antialias: false });
    if (!gl) throw new Error("This browser offers no WebGL2, which drawing the cells needs.");
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    ["position", "colour"].forEach((name, at) => gl.bindAttribLocation(program, at, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      throw new Error(`WebGL2 refused the shaders. ${gl.getProgramInfoLog(program)}`);
    }
    gl.useProgram(program);
    gl.enable(gl.BLEND); // soft edges; multisampling would take three times as long
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    this.buffers = [gl.createBuffer(), gl.createBuffer()];
    Object.assign(this, { gl, program });
  }

  #upload(at, values, width, type) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[at]);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, width, type, type === gl.UNSIGNED_BYTE, 0, 0);
  }

  #paint() {
    const { gl, canvas, camera } = this;
    const ratio = Math.min(2, window.devicePixelRatio);
    const [width, height] = camera.extent.map((length) => Math.round(length * ratio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(...bytes(this.background).map((byte) => byte / 255), 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const at = (name) => gl.getUniformLocation(this.program, name);
    gl.uniformMatrix3fv(at("turn"), false, camera.matrix);
    gl.uniform2fv(at("scale"), camera.scale);
    gl.uniform2fv(at("pan"), camera.pan);
    gl.uniform1f(at("eye"), camera.dimension === 3 ? 3.5 : 0);
    gl.uniform1f(at("size"), this.pointSize * ratio * camera.zoom ** 0.35);
    gl.drawArrays(gl.POINTS, 0, this.#colours.length / 4);
  }
}

/** (n, 2) of (n, 1): heights that look random and are the same each time. */
function spreadOut(points) {
  const placed = new Float32Array(2 * points.length);
  for (let i = 0; i < points.length; i++) {
    const hash = Math.imul(Math.imul(i + 1, 0x9e3779b1) ^ (i >>> 7), 0x85ebca6b);
    placed.set([points[i], ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 34 - 0.125], 2 * i);
  }
  return placed;
}
