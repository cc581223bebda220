// regl-scatterplot: flat only; colours are values that are looked up in a map of colours.

import createScatterplot from "regl-scatterplot";

export async function start(canvas, { x, y, values, other: others, map }) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const scatterplot = createScatterplot({
    canvas, width, height, pointSize: 3, opacity: 1, colorBy: "valueA", pointColor: map,
    backgroundColor: "#ffffff",
  });
  const options = { zDataType: "categorical" };
  await scatterplot.draw({ x, y, z: values }, options);
  const drawn = () =>
    new Promise((done) => { scatterplot.subscribe("draw", () => done(), 1); });
  return {
    gl: scatterplot.get("regl")._gl,
    async turn(i) {
      const done = drawn();
      scatterplot.view([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, i * 0.01, 0, 0, 1]);
      await done;
    },
    async recolour(_, i) { // it has no other way than to give it all points again
      await scatterplot.draw({ x, y, z: i % 2 ? others : values }, options);
    },
  };
}
