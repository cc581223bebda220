// The figure to save: the cells as on the screen and the legend, of a given size on paper.

import { isDrawable, pixelSize } from "./figure-layout.js";
import { drawLegend } from "./legend.js";
import { setResolution } from "./png-resolution.js";
import { SvgContext } from "./svg-context.js";
import { formatSvgFile } from "./svg-nodes.js";

export const TOO_LARGE =
  "The figure has more pixels than a browser can draw; choose a smaller size or fewer dpi.";

/**
 * @typedef {import("./svg-context.js").Painter} Painter
 * @typedef {import("./figure-layout.js").FigureLayout} FigureLayout
 * @typedef {object} FigureParts
 * @property {import("../plot/scatter.js").Scatter} scatter in the colors of the figure
 * @property {(painter: Painter, camera: import("../plot/camera.js").Camera, labelShare: number) =>
 *   void} drawOverlay draws what is over the cells
 * @property {import("./legend.js").Legend | null} legend
 * @property {{text: string, muted: string, ground: string}} colors CSS colors
 */

/**
 * A figure as a file. What shows the cells and labels is drawn before this returns, so that the
 * caller may give the plot its colors again.
 *
 * @param {import("./figure-layout.js").FigureOptions} options
 * @param {FigureLayout} layout
 * @param {FigureParts} parts
 * @returns {Promise<Blob>}
 */
export async function createFigure(options, layout, parts) {
  const pixels = pixelSize(options);
  if (!isDrawable(pixels)) throw new Error(TOO_LARGE);
  if (options.format === "svg") {
    const context = new SvgContext();
    drawFigure(context, layout, parts);
    const size = [`${options.width}mm`, `${options.height}mm`];
    const picture = context.createPicture(layout.width, layout.height, size);
    return new Blob([formatSvgFile(picture)], { type: "image/svg+xml" });
  }
  const [canvas, context] = createCanvas(pixels);
  context.scale(layout.pixelRatio, layout.pixelRatio);
  drawFigure(context, layout, parts);
  return createPng(canvas, options.dpi);
}

/**
 * A canvas and its context.
 *
 * @param {number[]} pixels width and height
 * @returns {[HTMLCanvasElement, CanvasRenderingContext2D]}
 */
export function createCanvas([width, height]) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  return [canvas, canvas.getContext("2d")];
}

/**
 * The PNG of a canvas, with its resolution.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {number} dpi
 */
export async function createPng(canvas, dpi) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new Error(TOO_LARGE);
  return setResolution(blob, dpi);
}

/**
 * @param {Painter} context
 * @param {FigureLayout} layout
 * @param {FigureParts} parts
 */
function drawFigure(context, layout, { scatter, drawOverlay, legend, colors }) {
  const { width, height, pixelRatio, plot, labelScale, labelShare } = layout;
  context.fillStyle = colors.ground;
  context.fillRect(0, 0, width, height);
  const pixels = [plot.width, plot.height].map((length) => Math.round(length * pixelRatio));
  const [cells, cellsContext] = createCanvas(pixels);
  scatter.drawTo(cellsContext, pixels[0] / scatter.camera.canvasSize[0]);
  context.drawImage(cells, 0, 0, plot.width, plot.height);
  context.save();
  context.beginPath();
  context.rect(0, 0, plot.width, plot.height);
  context.clip();
  // Text has its own size, so what is over the cells is laid out again, for the size of the plot.
  context.scale(labelScale, labelScale);
  const canvasSize = { value: [plot.width / labelScale, plot.height / labelScale] };
  drawOverlay(context, Object.create(scatter.camera, { canvasSize }), labelShare);
  context.restore();
  if (!legend) return;
  context.translate(layout.legendAt[0], layout.legendAt[1]);
  drawLegend(context, legend, layout.legend, colors);
}
