// Draws the legend of a figure: its title, then categories in columns or a color bar.

import { formatCount, measureText } from "../dom.js";
import {
  COLUMN_GAP, COUNT_GAP, DOT_SPACE, placeOfRow, TEXT_SIZE, TITLE_HEIGHT,
} from "./legend-layout.js";
import { fitText, FONT_FAMILY } from "./text.js";

/**
 * @typedef {{stops: [offset: number, color: string][], low: string, high: string, log: boolean}} ColorBar
 * @typedef {{title: string, bar: ColorBar | null,
 *   rows: import("./legend-layout.js").LegendRow[]}} Legend
 * @typedef {{text: string, muted: string}} TextColors CSS colors
 * @typedef {import("./svg-context.js").Painter} Painter
 */

export const BAR_HEIGHT = 48; // of the color bar and what is written below it
const DOT_RADIUS = 5;

/** @param {number} size */
export const fontOf = (size) => `${size}px ${FONT_FAMILY}`;

/**
 * Width of a text of the rows of a legend.
 *
 * @param {string} text
 */
export const measureLegendText = (text) => measureText(text, fontOf(TEXT_SIZE));

/**
 * Draws a legend at the origin of the context.
 *
 * @param {Painter} context
 * @param {Legend} legend
 * @param {import("./legend-layout.js").LegendLayout} layout of its rows
 * @param {TextColors} colors
 */
export function drawLegend(context, { title, bar, rows }, layout, colors) {
  context.textBaseline = "middle";
  context.textAlign = "left";
  context.fillStyle = colors.text;
  context.font = `600 ${fontOf(TEXT_SIZE)}`;
  const measure = (/** @type {string} */ text) => context.measureText(text).width;
  context.fillText(fitText(title, layout.width, measure), 0, TITLE_HEIGHT / 2);
  context.save();
  if (bar) {
    drawColorBar(context, bar, layout.width, colors);
    context.translate(0, BAR_HEIGHT);
  }
  drawRows(context, rows, layout, colors);
  context.restore();
}

/**
 * @param {Painter} context
 * @param {import("./legend-layout.js").LegendRow[]} rows
 * @param {import("./legend-layout.js").LegendLayout} layout
 * @param {TextColors} colors
 */
function drawRows(context, rows, layout, { text, muted }) {
  const { scale, columnWidth, nShown, nMore } = layout;
  const measure = (/** @type {string} */ name) => context.measureText(name).width;
  context.font = fontOf(TEXT_SIZE * scale);
  rows.slice(0, nShown).forEach(({ name, color, count }, i) => {
    const [x, y] = placeOfRow(layout, i);
    const right = x + columnWidth - COLUMN_GAP;
    context.beginPath();
    context.arc(x + DOT_RADIUS * scale, y, DOT_RADIUS * scale, 0, 2 * Math.PI);
    context.fillStyle = color;
    context.fill();
    context.textAlign = "left";
    context.fillStyle = text;
    const room = right - x - (DOT_SPACE + (count && COUNT_GAP)) * scale - measure(count);
    context.fillText(fitText(name, room, measure), x + DOT_SPACE * scale, y);
    if (!count) return;
    context.textAlign = "right";
    context.fillStyle = muted;
    context.fillText(count, right, y);
  });
  context.textAlign = "left";
  context.fillStyle = muted;
  const [x, y] = placeOfRow(layout, nShown);
  if (nMore) context.fillText(`and ${formatCount(nMore)} more`, x, y);
}

/**
 * @param {Painter} context
 * @param {ColorBar} bar
 * @param {number} width
 * @param {TextColors} colors
 */
function drawColorBar(context, { stops, low, high, log }, width, { text, muted }) {
  const gradient = context.createLinearGradient(0, 0, width, 0);
  for (const [offset, color] of stops) gradient.addColorStop(offset, color);
  context.fillStyle = gradient;
  context.fillRect(0, TITLE_HEIGHT, width, 14);
  context.font = fontOf(TEXT_SIZE);
  const y = TITLE_HEIGHT + 26;
  context.fillStyle = text;
  context.fillText(low, 0, y);
  context.textAlign = "right";
  context.fillText(high, width, y);
  context.textAlign = "center";
  context.fillStyle = muted;
  if (log) context.fillText("log", width / 2, y);
}
