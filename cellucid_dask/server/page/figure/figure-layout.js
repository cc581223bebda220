// The layout of a figure of a given size on paper: the plot at the top left, the legend beside or below.

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
 * @typedef {import("./legend-layout.js").LegendLayout} LegendLayout
 * @typedef {{width: number, height: number}} Size
 *
 * @typedef {object} FigureLayout lengths in units: see legend-layout.js
 * @property {number} width
 * @property {number} height
 * @property {number} pixelRatio pixels per unit
 * @property {Size} plot
 * @property {number} labelScale of what is over the cells; below 1 in a small plot
 * @property {number} labelShare the part of the plot that labels may cover
 * @property {number[]} legendAt left and top
 * @property {LegendLayout | null} legend
 *
 * @typedef {{legend: LegendLayout, plotWidth: number, isBelow: boolean}} Arrangement
 */

const MM_PER_INCH = 25.4;
const POINTS_PER_INCH = 72;
const MARGIN = 14; // between the plot and the legend, and around the legend
const LEGEND_TOP = 6; // above the title of the legend
const MAX_SHARE_BESIDE = 0.4; // of the width, for a legend beside a plot whose height is free
const MAX_LEGEND_SHARE = 0.6; // of the width, or below the plot of the height, in a figure of a given size
const MIN_POINTS = 6; // text that is smaller is hard to read on paper
const MIN_LABEL_POINTS = 5;
const MAX_LABEL_SHARE = 0.1; // of a plot so small that its labels would have to be smaller yet
const WIDTH_OF_FULL_LABELS = 600; // units; the labels of a narrower plot would cover its cells
const MAX_SIDE = 16_384; // pixels that all current browsers draw
const MAX_PIXELS = 160e6;
const MIN_HEIGHT = 30; // millimeters, of what is suggested
const PAGE_HEIGHT = 230; // millimeters; a legend of very many rows shrinks before a figure is higher

/**
 * The layout of a figure of a given size: its legend is beside the plot or below it, whichever shows
 * more rows, in readable text, next to a larger plot.
 *
 * @param {FigureOptions} options
 * @param {number} aspect width by height of what the stage shows
 * @param {import("./legend.js").Legend | null} legend
 * @param {(text: string) => number} measure width of a text of the size `TEXT_SIZE`
 * @returns {FigureLayout}
 */
export function layoutFigure(options, aspect, legend, measure) {
  const { dpi, textSize } = options;
  const [width, height] = [options.width, options.height].map((mm) => mm * unitsPerMm(textSize));
  const pixelRatio = dpi / MM_PER_INCH / unitsPerMm(textSize);
  const arrangement = legend && arrange(legend, { width, height }, aspect, textSize, measure);
  const side = arrangement ? arrangement.plotWidth : Math.min(width, height * aspect);
  const pixels = Math.max(1, Math.floor(side * pixelRatio)); // whole ones, to copy the cells as is
  const plot = { width: pixels / pixelRatio, height: Math.round(pixels / aspect) / pixelRatio };
  const smallest = Math.min(1, MIN_LABEL_POINTS / textSize);
  const fitting = plot.width / WIDTH_OF_FULL_LABELS;
  return {
    width, height, pixelRatio, plot,
    labelScale: Math.max(smallest, Math.min(1, fitting)),
    labelShare: fitting < smallest ? MAX_LABEL_SHARE : Infinity,
    legend: arrangement && arrangement.legend,
    legendAt: arrangement?.isBelow ? [MARGIN, plot.height + LEGEND_TOP] : [plot.width + MARGIN, LEGEND_TOP],
  };
}

/** @param {number} textSize points */
const unitsPerMm = (textSize) => ((POINTS_PER_INCH / MM_PER_INCH) * TEXT_SIZE) / textSize;

/**
 * @param {import("./legend.js").Legend} legend
 * @param {Size} size of the figure
 * @param {number} aspect
 * @param {number} textSize
 * @param {(text: string) => number} measure
 * @returns {Arrangement}
 */
function arrange({ rows, bar }, { width, height }, aspect, textSize, measure) {
  const barHeight = bar ? BAR_HEIGHT : 0;
  const beside = layoutLegend(rows, {
    width: MAX_LEGEND_SHARE * width - 2 * MARGIN, height: height - 2 * MARGIN - barHeight,
  }, measure);
  const free = Math.max(height - width / aspect, MAX_LEGEND_SHARE * height);
  const below = layoutLegend(rows, {
    width: width - 2 * MARGIN, height: free - LEGEND_TOP - MARGIN - barHeight, isWide: true,
  }, measure);
  const heightAbove = height - heightBelow(below, barHeight);
  /** @type {Arrangement[]} */
  const arrangements = [
    { legend: beside, plotWidth: Math.min(widthBeside(width, beside), height * aspect), isBelow: false },
    { legend: below, plotWidth: Math.max(1, Math.min(width, heightAbove * aspect)), isBelow: true },
  ];
  const minScale = Math.min(1, MIN_POINTS / textSize);
  const isReadable = (/** @type {LegendLayout} */ { scale }) => Number(scale >= minScale);
  return arrangements.sort((a, b) => a.legend.nMore - b.legend.nMore ||
    isReadable(b.legend) - isReadable(a.legend) || b.plotWidth - a.plotWidth)[0];
}

/**
 * Width that a legend beside the plot leaves to it.
 *
 * @param {number} width
 * @param {LegendLayout} legend
 */
const widthBeside = (width, legend) => Math.max(1, width - legend.width - 2 * MARGIN);

/**
 * Height that a legend below the plot takes.
 *
 * @param {LegendLayout} legend
 * @param {number} barHeight
 */
const heightBelow = (legend, barHeight) => LEGEND_TOP + barHeight + legend.height + MARGIN;

/**
 * The height in millimeters at which the plot uses the whole width beside the legend; if a legend in
 * text of full size would take too much of the width, that of the whole width above it.
 *
 * @param {FigureOptions} options
 * @param {number} aspect
 * @param {import("./legend.js").Legend | null} legend
 * @param {(text: string) => number} measure
 */
export function suggestHeight({ width: mm, textSize }, aspect, legend, measure) {
  const width = mm * unitsPerMm(textSize);
  const suggested = legend ? heightWith(legend, width, aspect, measure) : width / aspect;
  const most = Math.max(PAGE_HEIGHT, mm / aspect);
  // Not less than the legend needs.
  return Math.max(MIN_HEIGHT, Math.ceil(Math.min(most, suggested / unitsPerMm(textSize))));
}

/**
 * @param {import("./legend.js").Legend} legend
 * @param {number} width
 * @param {number} aspect
 * @param {(text: string) => number} measure
 */
function heightWith({ rows, bar }, width, aspect, measure) {
  const barHeight = bar ? BAR_HEIGHT : 0;
  const roomBeside = MAX_SHARE_BESIDE * width - 2 * MARGIN;
  let height = width / aspect;
  for (;;) { // the lower a figure, the more columns its legend needs
    const room = { width: roomBeside, height: height - 2 * MARGIN - barHeight };
    const beside = layoutLegend(rows, room, measure);
    const lower = widthBeside(width, beside) / aspect;
    if (beside.nMore || beside.scale < 1 || beside.width > roomBeside) break;
    if (lower >= height) return height;
    height = lower;
  }
  const room = { width: width - 2 * MARGIN, height: Infinity, isWide: true };
  return width / aspect + heightBelow(layoutLegend(rows, room, measure), barHeight);
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
