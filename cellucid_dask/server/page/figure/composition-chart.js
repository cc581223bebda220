// Draws a composition: a bar for each category, with a part for each split, and the legend.

import { formatCount, measureText, showName } from "../dom.js";
import { layoutLegend, TEXT_SIZE } from "./legend-layout.js";
import { fontOf, measureLegendText } from "./legend.js";
import { SvgContext } from "./svg-context.js";
import { fitText } from "./text.js";

/**
 * @typedef {import("./composition.js").Bar} Bar
 * @typedef {import("./svg-context.js").Painter} Painter
 * @typedef {object} Chart
 * @property {string} barKey title of the bars
 * @property {Bar[]} bars in the order to draw
 * @property {(import("./composition.js").Split & {color: string})[]} splits
 * @property {string} splitKey title of the legend
 * @property {boolean} isShare whether the bars are shares, all of the same length
 * @property {number} width of the bars, their names and their totals
 *
 * @typedef {{text: string, muted: string, line: string}} ChartColors CSS colors
 */

const [ROW_HEIGHT, BAR_HEIGHT, AXIS_HEIGHT] = [20, 14, 24];
const GAP = 8; // between a bar and the texts beside it
const MAX_NAME_SHARE = 0.35; // of the width
const MAX_PARTS = 30_000; // so many shapes a page still scrolls well
const MAX_BARS = 300;
const MAX_LEGEND_WIDTH = 420;
const FONT = fontOf(TEXT_SIZE);
const BOLD_FONT = `600 ${FONT}`;
const ZERO_WIDTH = 10; // of the start of the axis, from the names on

/**
 * How many of the bars are drawn.
 *
 * @param {number} nBars
 * @param {number} nSplits
 */
export const countDrawn = (nBars, nSplits) =>
  Math.min(nBars, MAX_BARS, Math.max(1, Math.floor(MAX_PARTS / Math.max(1, nSplits))));

/** @param {number} nBars */
export const heightOfBars = (nBars) => AXIS_HEIGHT + nBars * ROW_HEIGHT + 4;

/**
 * Draws the bars below an axis.
 *
 * @param {Painter} context
 * @param {Chart} chart
 * @param {ChartColors} colors
 */
export function drawBars(context, chart, colors) {
  const { barKey, bars, isShare, width } = chart;
  const widest = (/** @type {string[]} */ texts) =>
    texts.reduce((most, text) => Math.max(most, measureText(text, FONT)), 0);
  const totals = bars.map(({ total }) => formatCount(total));
  const wanted = Math.max(
    widest(bars.map(({ name }) => showName(name))) + 1, measureText(barKey, BOLD_FONT) + ZERO_WIDTH);
  const nameWidth = Math.min(MAX_NAME_SHARE * width, wanted);
  const left = nameWidth + GAP;
  const length = Math.max(10, width - left - GAP - widest(totals));
  const most = isShare ? 1 : bars.reduce((max, { total }) => Math.max(max, total), 1);
  const fit = (/** @type {string} */ text, /** @type {number} */ room) =>
    fitText(text, room, (each) => context.measureText(each).width);
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.fillStyle = colors.text;
  context.font = BOLD_FONT;
  const titleWidth = nameWidth - ZERO_WIDTH;
  context.fillText(fit(barKey, titleWidth), titleWidth, AXIS_HEIGHT / 2);
  context.font = FONT;
  drawAxis(context, { left, length, most, isShare, nBars: bars.length }, colors);
  bars.forEach((bar, row) => {
    const y = AXIS_HEIGHT + (row + 0.5) * ROW_HEIGHT;
    context.fillStyle = colors.text;
    context.textAlign = "right";
    const name = showName(bar.name);
    withTitle(context, name, () => context.fillText(fit(name, nameWidth), nameWidth, y));
    const scale = length / (isShare ? bar.total : most);
    drawParts(context, chart, bar, left, y - BAR_HEIGHT / 2, scale);
    context.fillStyle = colors.muted;
    context.textAlign = "left";
    const end = isShare ? length : bar.total * scale;
    context.fillText(totals[row], left + end + GAP, y);
  });
}

/**
 * @param {Painter} context
 * @param {Chart} chart
 * @param {Bar} bar
 * @param {number} left
 * @param {number} top
 * @param {number} scale length of a cell
 */
function drawParts(context, { splits }, bar, left, top, scale) {
  let before = 0;
  bar.counts.forEach((n, i) => {
    if (!n) return;
    const { name, color } = splits[i];
    const percent = ((100 * n) / bar.total).toFixed(1);
    const title = `${showName(bar.name)} · ${showName(name)}: ${formatCount(n)} of ${formatCount(bar.total)} (${percent}%)`;
    withTitle(context, title, () => {
      context.fillStyle = color;
      context.fillRect(left + before * scale, top, n * scale, BAR_HEIGHT);
    });
    before += n;
  });
}

/**
 * Draws shapes that have a title in an SVG.
 *
 * @param {Painter} context
 * @param {string} title
 * @param {() => void} draw
 */
function withTitle(context, title, draw) {
  if (context instanceof SvgContext) context.beginGroup(title);
  draw();
  if (context instanceof SvgContext) context.restore();
}

/**
 * @param {Painter} context
 * @param {{left: number, length: number, most: number, isShare: boolean, nBars: number}} axis
 * @param {ChartColors} colors
 */
function drawAxis(context, { left, length, most, isShare, nBars }, { muted, line }) {
  context.lineWidth = 1;
  for (const tick of chooseTicks(most, length)) {
    const x = left + (tick / most) * length;
    context.strokeStyle = line;
    context.beginPath();
    context.moveTo(x, AXIS_HEIGHT - 4);
    context.lineTo(x, AXIS_HEIGHT + nBars * ROW_HEIGHT);
    context.stroke();
    context.fillStyle = muted;
    context.textAlign = "center";
    context.fillText(isShare ? `${Math.round(100 * tick)}%` : formatCount(tick), x, AXIS_HEIGHT / 2);
  }
}

/**
 * Round numbers from 0 to `most`, as many as have room.
 *
 * @param {number} most
 * @param {number} length
 */
function chooseTicks(most, length) {
  const nTicks = Math.max(1, Math.min(5, length / 70));
  const rough = most / nTicks;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 2.5, 5, 10].find((each) => each * power >= rough) ?? 10;
  const step = most > 1 ? Math.max(1, Math.round(factor * power)) : factor * power;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, i) => i * step);
}

/**
 * The legend of the splits, inside a height.
 *
 * @param {Chart} chart
 * @param {number} height
 */
export function layoutSplits({ splits, splitKey }, height) {
  const rows = splits.map(({ name, color, total }) => ({ name: showName(name), color, count: formatCount(total) }));
  const layout = layoutLegend(rows, { width: MAX_LEGEND_WIDTH, height }, measureLegendText);
  /** @type {import("./legend.js").Legend} */
  const legend = { title: splitKey, bar: null, rows };
  return { legend, layout };
}
