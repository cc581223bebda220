// The programs of the graphics card: cells as round points, and edges as lines.

const PLACE = `
uniform mat3 turn;
uniform vec2 scale, pan;
uniform float eye; // how far away it is, 0 in flat views
uniform vec4 tile; // scale and shift of the part of the picture that is drawn

vec2 tiled(vec2 clip) { return clip * tile.xy + tile.zw; }
float nearness(vec3 p) { return eye > 0. ? eye / (eye - p.z) : 1.; }
`;

const CELL_VERTEX = `#version 300 es
in vec3 position;
in float code, outlier, selected;
uniform float size;
uniform int kind;                  // 0 one colour, 1 categories, 2 values
uniform vec4 decode;               // origin and step of values, code of the missing, shift of logs
uniform vec2 range;                // of values, after the logarithm
uniform bool logarithmic, choosing;
uniform vec2 filtered;             // codes between the two are of outliers, which are hidden
uniform vec3 plain, missing, ground;
uniform vec3 order;                // of the first cell, from cell to cell, and its share of depth
uniform int part;                  // 0 all cells, 1 those beneath, 2 the others
uniform sampler2D palette;
flat out vec3 shade;
flat out float radius;
${PLACE}
void main() {
  float layer = 1.; // 0 is beneath all others; in flat views high layers lie on top
  bool hidden = outlier > filtered.x && outlier < filtered.y;
  shade = plain;
  if (kind == 1) {
    int at = int(min(code, decode.z));
    vec4 found = texelFetch(palette, ivec2(at & 255, at >> 8), 0);
    shade = found.rgb;
    layer = found.a > .5 ? 1. : 0.;
    hidden = hidden || found.a == 0.;
  } else if (kind == 2 && code >= decode.z) {
    shade = missing;
    layer = 0.;
  } else if (kind == 2) {
    float value = decode.x + code * decode.y;
    float at = logarithmic ? log(value + decode.w) : value;
    float t = clamp((at - range.x) / max(range.y - range.x, 1e-30), 0., 1.);
    shade = texelFetch(palette, ivec2(int(t * 255. + .5), 0), 0).rgb;
    layer = .01 + .98 * t;
  }
  if (choosing && selected < .5) {
    shade = mix(ground, shade, .15);
    layer = 0.;
  }
  if (part > 0) hidden = hidden || (layer > 0.) == (part == 1);
  vec3 p = turn * position;
  float near = nearness(p);
  float later = order.x + float(gl_VertexID) * order.y; // in flat views a later cell lies on top
  float height = layer * (1. - order.z) + later * order.z;
  float depth = eye > 0. ? -p.z / 2. : 1. - 2. * height;
  depth = depth / 2. + (layer == 0. ? .5 : -.5);
  gl_Position = hidden ? vec4(2, 2, 2, 1) : vec4(tiled(p.xy * scale * near + pan), depth, 1);
  gl_PointSize = size * near;
  radius = gl_PointSize / 2.;
}`;

const CELL_FRAGMENT = `#version 300 es
precision highp float;
uniform float opacity;
flat in vec3 shade;
flat in float radius;
out vec4 pixel;

void main() {
  float inside = (1. - length(gl_PointCoord * 2. - 1.)) * radius + .5;
  if (inside < .25) discard;
  pixel = vec4(shade, clamp(inside, 0., 1.) * opacity);
}`;

const EDGE_VERTEX = `#version 300 es
in vec3 position;
${PLACE}
void main() {
  vec3 p = turn * position;
  gl_Position = vec4(tiled(p.xy * scale * nearness(p) + pan), .999, 1);
}`;

const EDGE_FRAGMENT = `#version 300 es
precision highp float;
uniform vec4 colour;
out vec4 pixel;

void main() { pixel = colour; }`;

/** Attributes have the place of their name in this list, in both programs. */
export const ATTRIBUTES = ["position", "code", "outlier", "selected"];

/** A program with `at`, the places of its uniforms by name. */
function program(gl, sources) {
  const made = gl.createProgram();
  for (const [kind, source] of sources) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  ATTRIBUTES.forEach((name, at) => gl.bindAttribLocation(made, at, name));
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) {
    throw new Error(`WebGL2 refused the shaders. ${gl.getProgramInfoLog(made)}`);
  }
  const uniforms = gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS);
  const names = Array.from({ length: uniforms }, (_, i) => gl.getActiveUniform(made, i).name);
  const at = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(made, name)]));
  return { made, at };
}

export const cellProgram = (gl) =>
  program(gl, [[gl.VERTEX_SHADER, CELL_VERTEX], [gl.FRAGMENT_SHADER, CELL_FRAGMENT]]);
export const edgeProgram = (gl) =>
  program(gl, [[gl.VERTEX_SHADER, EDGE_VERTEX], [gl.FRAGMENT_SHADER, EDGE_FRAGMENT]]);
