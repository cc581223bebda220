// regl: a thin layer over WebGL1, with the shaders of the user.

import createREGL from "regl";

const VERTEX = `
precision highp float;
attribute vec3 position;
attribute vec4 colour;
uniform mat3 turn;
uniform vec2 scale, pan;
uniform float size, eye;
varying vec3 shade;
void main() {
  vec3 p = turn * position;
  float near = eye > 0. ? eye / (eye - p.z) : 1.;
  gl_Position = vec4(p.xy * scale * near + pan, eye > 0. ? -p.z / 2. : 0., 1);
  gl_PointSize = size * near;
  shade = colour.rgb;
}`;
const FRAGMENT = `
precision highp float;
varying vec3 shade;
void main() {
  if (length(gl_PointCoord - 0.5) > 0.5) discard;
  gl_FragColor = vec4(shade, 1);
}`;

export async function start(canvas, { spatial, colours, dimension, frame }) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  Object.assign(canvas, { width, height });
  const regl = createREGL({ canvas, attributes: { alpha: false, antialias: false } });
  const buffer = regl.buffer(colours);
  const share = dimension === 3 ? 0.78 : 0.94;
  const draw = regl({
    vert: VERTEX,
    frag: FRAGMENT,
    attributes: {
      position: regl.buffer(spatial),
      colour: { buffer, size: 4, type: "uint8", normalized: true },
    },
    uniforms: {
      turn: regl.prop("turn"),
      pan: regl.prop("pan"),
      scale: [share * height / width, share],
      size: 3,
      eye: dimension === 3 ? 3.5 : 0,
    },
    primitive: "points",
    count: spatial.length / 3,
  });
  const render = async (i) => {
    await frame();
    const [c, s] = dimension === 3 ? [Math.cos(i * 0.04), Math.sin(i * 0.04)] : [1, 0];
    regl.poll();
    regl.clear({ color: [1, 1, 1, 1], depth: 1 });
    draw({ turn: [c, 0, s, 0, 1, 0, -s, 0, c], pan: [dimension === 3 ? 0 : i * 0.01, 0] });
  };
  await render(0);
  return {
    gl: regl._gl,
    turn: render,
    recolour(other) {
      buffer({ data: other, usage: "static" });
      return render(0);
    },
  };
}
