// Our own drawing, as the page uses it.

import { Scatter } from "PAGE/scatter.js";

export async function start(canvas, { positions, colours, dimension }) {
  const scatter = new Scatter(canvas);
  scatter.setPoints(positions, dimension);
  scatter.pointSize = 3;
  scatter.colours = colours;
  await scatter.draw();
  return {
    gl: scatter.gl,
    async turn() {
      scatter.camera.move(6, 0, false);
      await scatter.draw();
    },
    async recolour(other) {
      scatter.colours = other;
      await scatter.draw();
    },
  };
}
