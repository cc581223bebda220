// The layout of a figure of a given size on paper: the plot at the left, the legend beside it.

import { layoutLegend, TEXT_SIZE } from "./legend-layout.js";
import { BAR_HEIGHT } from "./legend.js";

/**
 * What the user chooses.
 *
 * @typedef {object} FigureOptions
 * @property {string} format "png" or "svg"
 * @property {number} width millimeters
 * @property {number} height millimeters
 * @property {number} dpi pixels per inch of the cells, and of a PNG
 * @property {number} textSize points
 * @property {string} ground "light", or "screen" for the colors of the page
 *
 * @typedef {object} FigureLayout lengths in units: see legend-layout.js
 * @property {number} width
 * @property {number} height
 * @property {number} pixelRatio pixels per unit
 * @property {{width: number, height: number}} plot
 * @property {number} legendX
 * @property {import("./legend-layout.js").LegendLayout | null} legend
 */

const MM_PER_INCH = 25.4;
const POINTS_PER_INCH = 72;
const MARGIN = 14; // between the plot and the legend, and around the legend
const MAX_LEGEND_SHARE = 0.6; // of the width of the figure
const MAX_SIDE = 16_384; // pixels that all current browsers draw
const MAX_PIXELS = 160e6;
const MIN_HEIGHT = 30; // millimeters, of what is suggested
const HEIGHT_OF_LONG_LEGENDS = 2 / 3; // of the width

/**
 * @param {FigureOptions} options
 * @param {number} aspect width by height of what the stage shows
 * @param {import("./legend.js").Legend | null} legend
 * @param {(text: string) => number} measure width of a text of the size `TEXT_SIZE`
 * @returns {FigureLayout}
 */
export function layoutFigure({ width, height, dpi, textSize }, aspect, legend, measure) {
  const unitsPerMm = ((POINTS_PER_INCH / MM_PER_INCH) * TEXT_SIZE) / textSize;
  const [unitsWide, unitsHigh] = [width * unitsPerMm, height * unitsPerMm];
  const room = {
    width: MAX_LEGEND_SHARE * unitsWide - 2 * MARGIN,
    height: unitsHigh - 2 * MARGIN - (legend?.bar ? BAR_HEIGHT : 0),
  };
  const legendLayout = legend && layoutLegend(legend.rows, room, measure);
  const pixelRatio = dpi / MM_PER_INCH / unitsPerMm;
  const side = Math.min(plotRoom(unitsWide, legendLayout), unitsHigh * aspect);
  const pixels = Math.max(1, Math.floor(side * pixelRatio)); // whole ones, to copy the cells as is
  const plot = { width: pixels / pixelRatio, height: Math.round(pixels / aspect) / pixelRatio };
  return {
    width: unitsWide, height: unitsHigh, pixelRatio, plot, legend: legendLayout,
    legendX: plot.width + MARGIN,
  };
}

/**
 * Width that the legend leaves to the plot.
 *
 * @param {number} width
 * @param {import("./legend-layout.js").LegendLayout | null} legend
 */
const plotRoom = (width, legend) => Math.max(1, width - (legend ? legend.width + 2 * MARGIN : 0));

/**
 * The height in millimeters at which the plot uses the whole width beside the legend.
 *
 * @param {FigureOptions} options
 * @param {number} aspect
 * @param {import("./legend.js").Legend | null} legend
 * @param {(text: string) => number} measure
 */
export function suggestHeight(options, aspect, legend, measure) {
  let height = (0.75 * options.width) / aspect;
  let layout;
  for (let i = 0; i < 3; i++) { // the lower a figure, the more columns its legend needs
    layout = layoutFigure({ ...options, height }, aspect, legend, measure);
    height = (options.width * plotRoom(layout.width, layout.legend)) / layout.width / aspect;
  }
  const minHeight = layout.legend?.scale < 1 ? HEIGHT_OF_LONG_LEGENDS * options.width : MIN_HEIGHT;
  return Math.round(Math.max(minHeight, height));
}

/**
 * Width and height of a figure in pixels.
 *
 * @param {FigureOptions} options
 */
export const pixelSize = ({ width, height, dpi }) =>
  [width, height].map((length) => Math.round((length / MM_PER_INCH) * dpi));

/**
 * Whether browsers can draw a figure of that many pixels.
 *
 * @param {number[]} pixels
 */
export const isDrawable = ([width, height]) =>
  Math.max(width, height) <= MAX_SIDE && width * height <= MAX_PIXELS;
