// The picture to save: the cells as on the screen, at a multiple of that size, and the legend.

import { colormapStops } from "../color/colormaps.js";
import { categoryCssColor } from "../color/palette.js";
import { cssColor } from "../color/rgb.js";
import { formatCount, formatNumber } from "../dom.js";

const LEGEND_WIDTH = 230; // CSS pixels, as all lengths here
const MARGIN = 16;
const LINE_HEIGHT = 20;
const DOT_RADIUS = 5.5;
const DOT_X = 6;
const TEXT_X = 18;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';

/**
 * @typedef {object} Legend what the legend of a picture shows; `text`, `muted` and `missing` are
 *   CSS colors
 * @property {any} column
 * @property {Set<number>} hidden codes
 * @property {Record<string, Record<string, string>>} colors
 * @property {string} map
 * @property {[number, number] | null} range
 * @property {boolean} log
 * @property {string} text
 * @property {string} muted
 * @property {string} missing
 */

/**
 * A PNG as a blob, with `scale` pixels per CSS pixel.
 *
 * drawOverlay(context): draws what is over the cells; legend: null, or what `drawLegend` takes.
 *
 * @param {import("../plot/scatter.js").Scatter} scatter
 * @param {(context: CanvasRenderingContext2D) => void} drawOverlay
 * @param {Legend | null} legend
 * @param {number} scale
 * @returns {Promise<Blob>}
 */
export async function createPicture(scatter, drawOverlay, legend, scale) {
  const [width, height] = scatter.camera.canvasSize;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round((width + (legend ? LEGEND_WIDTH : 0)) * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.fillStyle = cssColor(scatter.appearance.background);
  context.fillRect(0, 0, canvas.width, canvas.height);
  scatter.drawTo(context, scale);
  context.save();
  context.beginPath();
  context.rect(0, 0, Math.round(width * scale), canvas.height);
  context.clip();
  context.scale(scale, scale);
  drawOverlay(context);
  context.restore();
  context.scale(scale, scale);
  context.translate(width + MARGIN, 0);
  if (legend) drawLegend(context, legend, height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob) return blob;
  throw new Error("The picture is too large for this browser; choose a smaller size.");
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Legend} legend
 * @param {number} height
 */
function drawLegend(context, legend, height) {
  const { column, text } = legend;
  context.textBaseline = "middle";
  context.fillStyle = text;
  context.font = `600 14px ${FONT}`;
  context.fillText(shortenToFit(context, column.key, LEGEND_WIDTH - 2 * MARGIN), 0, MARGIN + 8);
  context.font = `12px ${FONT}`;
  const top = MARGIN + 34;
  if (column.isCategorical) drawCategories(context, legend, top, height);
  else drawColorScale(context, legend, top);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Legend} legend
 * @param {number} top
 * @param {number} height
 */
function drawCategories(context, legend, top, height) {
  const { column, hidden, colors, text, muted, missing } = legend;
  /** @type {{name: string, code: number, cellCount: number}[]} */
  const categories = column.categories.filter(
    (/** @type {{code: number}} */ { code }) => !hidden.has(code));
  const maxLines = Math.max(1, Math.floor((height - top - MARGIN) / LINE_HEIGHT));
  const shown = categories.length > maxLines ? categories.slice(0, maxLines - 1) : categories;
  const right = LEGEND_WIDTH - 2 * MARGIN;
  shown.forEach(({ name, code, cellCount }, i) => {
    const y = top + i * LINE_HEIGHT;
    drawDot(context, y, categoryCssColor(column, code, colors) ?? missing);
    const count = formatCount(cellCount);
    context.fillStyle = muted;
    context.textAlign = "right";
    context.fillText(count, right, y);
    context.textAlign = "left";
    context.fillStyle = text;
    const room = right - 26 - context.measureText(count).width;
    context.fillText(shortenToFit(context, name, room), TEXT_X, y);
  });
  const more = categories.length - shown.length;
  if (more) {
    context.fillText(`and ${formatCount(more)} more`, TEXT_X, top + shown.length * LINE_HEIGHT);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Legend} legend
 * @param {number} top
 */
function drawColorScale(context, { column, map, range, log, text, muted, missing }, top) {
  const width = LEGEND_WIDTH - 2 * MARGIN;
  const gradient = context.createLinearGradient(0, 0, width, 0);
  colormapStops(map).forEach(([offset, color]) => gradient.addColorStop(offset, color));
  context.fillStyle = gradient;
  context.fillRect(0, top - 7, width, 14);
  context.fillStyle = text;
  const [lo, hi] = (range ?? [column.lo, column.hi]).map(formatNumber);
  context.fillText(lo, 0, top + 20);
  context.textAlign = "right";
  context.fillText(hi, width, top + 20);
  context.textAlign = "center";
  context.fillStyle = muted;
  if (log) context.fillText("log", width / 2, top + 20);
  context.textAlign = "left";
  if (!column.missingCount) return;
  const line = `${formatCount(column.missingCount)} cells without a value`;
  context.fillText(line, TEXT_X, top + 46);
  drawDot(context, top + 46, missing);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} y
 * @param {string} color
 */
function drawDot(context, y, color) {
  context.beginPath();
  context.arc(DOT_X, y, DOT_RADIUS, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.fill();
}

/**
 * The text, or its start with "…", so that it is not wider than `width`.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} width
 */
function shortenToFit(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = Math.min(text.length, 100); // no more characters can fit
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}
