// The labels of categories, drawn over the cells with a 2D context, in CSS pixels.

import { measureText, showName } from "../dom.js";
import { doCategoriesOverlap, findCenters } from "./label-centers.js";
import { LINE_HEIGHT, placeLabels } from "./label-layout.js";
import { project } from "./projection.js";

/**
 * @typedef {import("./label-centers.js").Center} Center
 * @typedef {import("./label-centers.js").Embedding} Embedding
 * @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn
 * @typedef {import("./camera.js").Camera} Camera
 * @typedef {import("../figure/svg-context.js").Painter} Painter
 * @typedef {{ code: number, text: string, x: number, y: number, opacity: number, lines: string[],
 *   box: number[], hasLeader: boolean }} DrawnLabel
 *   (x, y): the center of the category; box: left, top, right, bottom
 * @typedef {{ maxShare?: number, fontFamily?: string }} LabelOptions
 *   maxShare: the part of the plot that labels may cover
 */

const FONT_FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';
const FADED_OPACITY = 0.4;
const DOT_RADIUS = 1.5;
/** @type {Map<string, Map<string, number>>} by font, the widths of lines, which take long to measure */
const widthsByFont = new Map();

/** The labels of the categories of one column. */
export class Labels {
  /** Whether there are none because the categories of the column lie on each other. */
  isMixed = false;
  /** Code of the category of which the label is not faint; -1 for no such category. */
  highlightedCode = -1;
  /** @type {Center[]} */
  #centers = [];
  /** @type {string[]} */
  #names = [];
  /** @type {unknown[]} what the centers were computed from */
  #inputs = [];
  /** @type {unknown[]} what `#overlap` was computed from */
  #overlapInputs = [];
  #overlap = false;

  /**
   * Finds the centers of the categories of a column; null for no labels.
   *
   * @param {CategoricalColumn | null} column
   * @param {Embedding} embedding
   * @param {Uint8Array | null} flags of the cells, as in heights.js; null if all are visible
   * @param {boolean} showsContext whether cells that are filtered out are drawn
   */
  update(column, embedding, flags, showsContext) {
    const inputs = [column, embedding.points, flags, showsContext];
    if (inputs.every((input, i) => input === this.#inputs[i])) return;
    this.#inputs = inputs;
    this.#names = column ? column.names : [];
    const centers = column ? findCenters(column, embedding, flags, showsContext) : [];
    const visible = centers.filter(({ isFaded }) => !isFaded);
    const overlap = column && this.#hasOverlap(column, embedding);
    this.isMixed = overlap && visible.length > 1;
    this.#centers = overlap ? visible : centers;
    if (this.isMixed) this.#centers = [];
  }

  /**
   * @param {CategoricalColumn} column
   * @param {Embedding} embedding
   */
  #hasOverlap(column, embedding) {
    const inputs = [column, embedding.points];
    if (!inputs.every((input, i) => input === this.#overlapInputs[i])) {
      this.#overlapInputs = inputs;
      this.#overlap = doCategoriesOverlap(column, embedding);
    }
    return this.#overlap;
  }

  /**
   * Draws the labels for which there is room, and returns them.
   *
   * @param {Painter} context
   * @param {Camera} camera
   * @param {{ text: string, background: string }} colors CSS colors
   * @param {LabelOptions} [options]
   * @returns {DrawnLabel[]}
   */
  draw(context, camera, colors, { maxShare = Infinity, fontFamily = FONT_FAMILY } = {}) {
    const font = context.font = `600 12px ${fontFamily}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const labels = this.#centers.map(({ code, position, isFaded }) => {
      const [right, up] = project(position, camera);
      const [x, y] = camera.toPixel(right, up);
      const isFaint = isFaded || (this.highlightedCode >= 0 && code !== this.highlightedCode);
      return { code, text: showName(this.#names[code]), x, y, opacity: isFaint ? FADED_OPACITY : 1 };
    });
    const placed = placeLabels(labels, camera.canvasSize, measureIn(font), maxShare);
    for (const { index, box, hasLeader } of placed) {
      context.globalAlpha = labels[index].opacity;
      if (hasLeader) drawLeader(context, labels[index], box, colors);
    }
    for (const { index, lines, box } of placed) {
      context.globalAlpha = labels[index].opacity;
      drawLines(context, lines, box, colors);
    }
    context.globalAlpha = 1;
    return placed.map(({ index, ...place }) => ({ ...labels[index], ...place }));
  }
}

/**
 * Measures the width of lines of text in a font.
 *
 * @param {string} font
 */
function measureIn(font) {
  const widths = widthsByFont.get(font) ?? new Map();
  widthsByFont.set(font, widths);
  return (/** @type {string} */ line) => {
    let width = widths.get(line);
    if (width === undefined) widths.set(line, width = measureText(line, font));
    return width;
  };
}

/**
 * Draws a line from the center of a category to its label beside it.
 *
 * @param {Painter} context
 * @param {{ x: number, y: number }} center
 * @param {number[]} box
 * @param {{ text: string, background: string }} colors
 */
function drawLeader(context, { x, y }, [left, top, right, bottom], { text, background }) {
  const end = [Math.max(left, Math.min(right, x)), Math.max(top, Math.min(bottom, y))];
  for (const [color, width] of /** @type {[string, number][]} */ ([[background, 3], [text, 1]])) {
    context.strokeStyle = context.fillStyle = color;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(end[0], end[1]);
    context.stroke();
    context.beginPath();
    context.arc(x, y, DOT_RADIUS, 0, 2 * Math.PI);
    context.stroke();
  }
  context.fill();
}

/**
 * Draws the lines of a label, with a rim in the color of the background.
 *
 * @param {Painter} context
 * @param {string[]} lines
 * @param {number[]} box
 * @param {{ text: string, background: string }} colors
 */
function drawLines(context, lines, [left, top, right], { text, background }) {
  context.strokeStyle = background;
  context.fillStyle = text;
  context.lineWidth = 3.5;
  const x = (left + right) / 2;
  const heights = lines.map((_, i) => top + (i + 0.5) * LINE_HEIGHT);
  lines.forEach((line, i) => context.strokeText(line, x, heights[i]));
  lines.forEach((line, i) => context.fillText(line, x, heights[i]));
}
