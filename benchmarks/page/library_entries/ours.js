// Our own drawing, as the page uses it: codes of all cells and a palette.

import { Scatter } from "PAGE/scatter.js";

export async function start(canvas, { positions, values, other, map, dimension }) {
  const scatter = new Scatter(canvas, () => {});
  const palette = map.flatMap((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).concat(255));
  const codes = [values, other].map((each) => Uint8Array.from(each));
  scatter.setPoints(positions, dimension);
  Object.assign(scatter.appearance, {
    columnKind: 1, decoding: [0, 0, 255, 0], hiddenOutliers: [1e9, 1e9], pointSize: 3,
  });
  Object.assign(scatter, { codes: codes[0], palette: Uint8Array.from(palette) });
  await scatter.draw();
  return {
    gl: scatter.gl,
    async turn() {
      scatter.camera.move(6, 0, false);
      await scatter.draw();
    },
    async recolour(_, i) {
      scatter.codes = codes[i % 2];
      await scatter.draw();
    },
  };
}
