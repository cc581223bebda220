// The same clouds and the same clock for all of them.

import { start } from "LIBRARY";

const frame = () => new Promise(requestAnimationFrame);

/** Clusters between -1 and 1, and two colourings of 32 colours. */
function cloud(n, dimension) {
  let seed = 1;
  const random = () => ((seed = Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const centres = Array.from({ length: 32 }, () => [0, 0, 0].map(() => random() * 1.5 - 0.75));
  const positions = new Float32Array(n * dimension);
  const spatial = new Float32Array(n * 3);
  const [x, y, values, other] = [0, 0, 0, 0].map(() => new Float32Array(n));
  const [colours, others] = [new Uint8Array(4 * n), new Uint8Array(4 * n)];
  const palette = centres.map(() => [random(), random(), random()].map((v) => Math.floor(v * 230)));
  for (let i = 0; i < n; i++) {
    const group = Math.floor(random() * 32);
    for (let d = 0; d < 3; d++) {
      const at = d < dimension ? centres[group][d] + (random() + random() + random() - 1.5) * 0.15 : 0;
      if (d < dimension) positions[i * dimension + d] = at;
      spatial[3 * i + d] = at;
    }
    [x[i], y[i], values[i], other[i]] = [spatial[3 * i], spatial[3 * i + 1], group, (group + 7) % 32];
    colours.set([...palette[group], 255], 4 * i);
    others.set([...palette[(group + 7) % 32], 255], 4 * i);
  }
  const hex = (rgb) => `#${rgb.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  return { positions, spatial, colours, others, x, y, values, other, dimension, frame,
    map: palette.map(hex) };
}

/** Milliseconds of the start, of frames and of new colors; each waits until it is drawn. */
window.measure = async (n, dimension, frames) => {
  const canvas = document.querySelector("canvas");
  const data = cloud(n, dimension);
  await frame();
  const began = performance.now();
  const plot = await start(canvas, data);
  const finish = () =>
    plot.gl.readPixels(0, 0, 1, 1, plot.gl.RGBA, plot.gl.UNSIGNED_BYTE, new Uint8Array(4));
  const timed = async (change, from) => {
    requestAnimationFrame((now) => { from ??= now; });
    await change();
    finish();
    return performance.now() - from;
  };
  finish();
  const found = { start: performance.now() - began, frames: [], recolour: [] };
  await timed(() => plot.turn(0));
  const enough = (times) => times.reduce((sum, time) => sum + time, 0) > 4000;
  for (let i = 1; i <= frames && !enough(found.frames); i++) {
    found.frames.push(await timed(() => plot.turn(i)));
  }
  for (let i = 1; i <= 4 && !enough(found.recolour); i++) { // some work before they draw
    const given = i % 2 ? data.others : data.colours;
    found.recolour.push(await timed(() => plot.recolour(given, i), performance.now()));
  }
  return found;
};
