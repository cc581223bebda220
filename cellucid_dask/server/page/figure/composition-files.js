// The bars of a composition with their legend, as files.

import { drawBars, heightOfBars, layoutSplits } from "./composition-chart.js";
import { createCanvas, createPng } from "./figure.js";
import { drawLegend } from "./legend.js";
import { SvgContext } from "./svg-context.js";
import { formatSvgFile } from "./svg-nodes.js";

/**
 * @typedef {import("./composition-chart.js").Chart} Chart
 * @typedef {import("./composition-chart.js").ChartColors & {ground: string}} PictureColors
 * @typedef {import("./svg-context.js").Painter} Painter
 */

const BARS_WIDTH = 560;
const MIN_LEGEND_HEIGHT = 320; // few bars do not squeeze the legend
const MARGIN = 16;
const CSS_DPI = 96; // pixels per inch of an SVG
const [PNG_DPI, MAX_SIDE] = [300, 16_384];

/**
 * An SVG; 96 of its units are an inch.
 *
 * @param {Chart} chart
 * @param {PictureColors} colors
 */
export async function createChartSvg(chart, colors) {
  const { context, width, height } = drawPicture(() => new SvgContext(), chart, colors);
  const file = formatSvgFile(context.createPicture(width, height));
  return new Blob([file], { type: "image/svg+xml" });
}

/**
 * A PNG of the same size on paper; of less resolution if it has very many bars.
 *
 * @param {Chart} chart
 * @param {PictureColors} colors
 */
export async function createChartPng(chart, colors) {
  let scale = PNG_DPI / CSS_DPI;
  const { context } = drawPicture((width, height) => {
    scale = Math.min(scale, MAX_SIDE / Math.max(width, height)); // of many bars
    const [, canvasContext] = createCanvas([width, height].map((side) => Math.round(side * scale)));
    canvasContext.scale(scale, scale);
    return canvasContext;
  }, chart, colors);
  return createPng(context.canvas, CSS_DPI * scale);
}

/**
 * Draws a picture of the bars with their legend on a context that `createContext` makes for its size.
 *
 * @template {Painter} Context
 * @param {(width: number, height: number) => Context} createContext
 * @param {Chart} chart
 * @param {PictureColors} colors
 * @returns {{context: Context, width: number, height: number}}
 */
function drawPicture(createContext, chart, colors) {
  const barsHeight = heightOfBars(chart.bars.length);
  const { legend, layout } = layoutSplits(chart, Math.max(barsHeight, MIN_LEGEND_HEIGHT));
  const width = 3 * MARGIN + BARS_WIDTH + layout.width;
  const height = 2 * MARGIN + Math.max(barsHeight, layout.height);
  const context = createContext(width, height);
  context.fillStyle = colors.ground;
  context.fillRect(0, 0, width, height);
  context.translate(MARGIN, MARGIN);
  drawBars(context, { ...chart, width: BARS_WIDTH }, colors);
  context.translate(BARS_WIDTH + MARGIN, 0);
  drawLegend(context, legend, layout, colors);
  return { context, width, height };
}
