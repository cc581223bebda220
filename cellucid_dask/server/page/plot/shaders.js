// The WebGL programs: cells as round points, and edges as lines.

import { VALUE_BANDS } from "./heights.js";

export const FADED_SHARE = 0.15; // of the color of a faded cell; the rest is the background
const CONTEXT_SIZE = 0.8; // of cells that are filtered out, as a share of the size of the others

const PROJECTION = `
uniform mat3 rotation;
uniform vec2 scale, pan;
uniform float eyeDistance;         // 0 in 1D and 2D
uniform vec4 tile;                 // scale and shift of the part of the picture that is drawn

vec2 toTile(vec2 clip) { return clip * tile.xy + tile.zw; }
float perspective(vec3 p) { return eyeDistance > 0. ? eyeDistance / (eyeDistance - p.z) : 1.; }
`;

const CELL_VERTEX = `#version 300 es
in vec3 position;
in float code, flags;              // bit 0 of flags: filtered out, bit 1: faded
uniform float size;                // diameter of a cell in pixels, before the perspective
uniform int columnKind;            // 0 no column, 1 categories, 2 values
uniform vec4 decoding;             // origin and step of values, missing code, shift of logarithms
uniform vec2 range;                // of values on the color scale, after the logarithm
uniform bool useLog, showsContext; // showsContext: cells that are filtered out are drawn
uniform float highlightedCode;     // of a category: the others are faded; -1 for none
uniform float zeroCode;            // of values at 0; -1 for none
uniform vec3 plain, missing, zero, context; // colors without a column, without a value, at 0, ...
uniform vec3 background;           // of the canvas
uniform vec3 order;                // rank of the first cell, step of ranks, their share of height
uniform sampler2D palette;
flat out vec3 color;
flat out float radius;
${PROJECTION}
// The rule of heightInLevel and of the levels is also in heights.js.
float heightInLevel(float t, float z) {
  float rank = order.x + float(gl_VertexID) * order.y; // in 1D and 2D later cells are on top
  if (eyeDistance == 0.) return t * (1. - order.z) + rank * order.z;
  float nearness = .5 + z / 4.;
  return columnKind == 2 ? (floor(t * ${VALUE_BANDS}.) + nearness) / ${VALUE_BANDS}. : nearness;
}

void main() {
  float level = 4.; // 0 context, 1 faded, 2 missing, 3 at 0, 4 all others
  float t = 0.; // position of a value on the color scale
  int state = int(flags);
  bool isFaded = (state & 2) == 2;
  color = plain;
  if (columnKind == 1) {
    int index = int(min(code, decoding.z));
    vec4 entry = texelFetch(palette, ivec2(index & 255, index >> 8), 0);
    color = entry.rgb;
    level = entry.a > .5 ? 4. : 2.;
    isFaded = isFaded || (highlightedCode >= 0. && float(index) != highlightedCode);
  } else if (columnKind == 2 && code >= decoding.z) {
    color = missing;
    level = 2.;
  } else if (columnKind == 2 && code == zeroCode) {
    color = zero;
    level = 3.;
  } else if (columnKind == 2) {
    float value = decoding.x + code * decoding.y;
    float scaled = useLog ? log(value + decoding.w) : value;
    t = clamp((scaled - range.x) / max(range.y - range.x, 1e-30), 0., 1.);
    color = texelFetch(palette, ivec2(int(t * 255. + .5), 0), 0).rgb;
    t *= .999;
  }
  if (isFaded) {
    color = mix(background, color, ${FADED_SHARE});
    level = 1.;
  }
  bool isHidden = false;
  if ((state & 1) == 1) {
    color = context;
    level = 0.;
    isHidden = !showsContext;
  }
  vec3 p = rotation * position;
  float near = perspective(p);
  float h = heightInLevel(level == 4. ? t : 0., p.z);
  float height = level == 4. ? .5 + .5 * h : .02 + .12 * (level + h);
  vec2 clip = toTile(p.xy * scale * near + pan);
  gl_Position = isHidden ? vec4(2, 2, 2, 1) : vec4(clip, 1. - 2. * height, 1);
  gl_PointSize = size * near * (level == 0. ? ${CONTEXT_SIZE} : 1.);
  radius = gl_PointSize / 2.;
}`;

const CELL_FRAGMENT = `#version 300 es
precision highp float;
uniform float opacity;
flat in vec3 color;
flat in float radius;
out vec4 pixel;

void main() {
  float coverage = (1. - length(gl_PointCoord * 2. - 1.)) * radius + .5;
  if (coverage < .25) discard;
  pixel = vec4(color, clamp(coverage, 0., 1.) * opacity);
}`;

const EDGE_VERTEX = `#version 300 es
in vec3 position;
${PROJECTION}
void main() {
  vec3 p = rotation * position;
  gl_Position = vec4(toTile(p.xy * scale * perspective(p) + pan), .999, 1); // behind all cells
}`;

const EDGE_FRAGMENT = `#version 300 es
precision highp float;
uniform vec4 color;
out vec4 pixel;

void main() { pixel = color; }`;

/** Names of the vertex attributes; the index of a name is its location in both programs. */
export const ATTRIBUTES = ["position", "code", "flags"];

/**
 * Returns {program, uniforms}: a linked program and its uniform locations by name.
 *
 * @param {WebGL2RenderingContext} gl
 * @param {string} vertexSource
 * @param {string} fragmentSource
 */
function createProgram(gl, vertexSource, fragmentSource) {
  const program = gl.createProgram();
  /** @type {[number, string][]} */
  const sources = [[gl.VERTEX_SHADER, vertexSource], [gl.FRAGMENT_SHADER, fragmentSource]];
  for (const [type, source] of sources) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  ATTRIBUTES.forEach((name, location) => gl.bindAttribLocation(program, location, name));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error("The graphics driver refused the WebGL2 shaders of this page. Update the " +
      `browser, or try another one. ${gl.getProgramInfoLog(program)}`);
  }
  const count = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS);
  const names = Array.from({ length: count }, (_, i) => gl.getActiveUniform(program, i).name);
  const locations = names.map((name) => [name, gl.getUniformLocation(program, name)]);
  return { program, uniforms: Object.fromEntries(locations) };
}

/** @param {WebGL2RenderingContext} gl */
export const createCellProgram = (gl) => createProgram(gl, CELL_VERTEX, CELL_FRAGMENT);
/** @param {WebGL2RenderingContext} gl */
export const createEdgeProgram = (gl) => createProgram(gl, EDGE_VERTEX, EDGE_FRAGMENT);
