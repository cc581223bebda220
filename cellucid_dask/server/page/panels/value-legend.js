// The legend of a continuous field or a gene: a histogram over a color bar with two handles, the
// exact ends of the colors, logarithm and colormap.

import { COLORMAP_NAMES, colormapGradient, colormapStops } from "../color/colormaps.js";
import { hasOneColor, shownRange } from "../color/value-range.js";
import { countPositions } from "../data/value-bins.js";
import { formatValue } from "../data/value-text.js";
import { createButton, createElement, formatCountOf, formatNumber, formatShare } from "../dom.js";
import { createLabelsNote } from "./labels-note.js";
import { createNumberBox, explainNoNumber, readNumber } from "./number-box.js";

/** @typedef {import("../data/columns.js").ContinuousColumn} ContinuousColumn */
/** @typedef {{ range: [number, number] | null, log: boolean, map: string }} Scale */
/** @typedef {Scale & { ground: import("../color/rgb.js").Rgb }} ShownScale ground: of the cells */
/** @typedef {(change: Partial<Scale>, needsNewLegend?: boolean) => void} OnChange */
/**
 * @typedef {object} Bar
 * @property {number} start value at its start
 * @property {number} end
 * @property {(value: number) => number} toPosition of a value, 0 at the start to 1 at the end
 * @property {(position: number) => number} toValue
 */

const STEPS = 1000; // of the handles along the bar
const N_BINS = 76; // of the histogram: 3 pixels each
const HEIGHT = 40; // of the histogram, in units of its drawing
const FAR_ENDS = 2; // a bar goes to the lowest and highest value, unless one is so many ranges away
const SVG = "http://www.w3.org/2000/svg";

/**
 * The values along the bar.
 *
 * It leaves out what is far beyond the range that most cells have: one high cell would leave no
 * room for the others.
 *
 * @param {ContinuousColumn} column
 * @param {number[]} limits ends of the colors, which are on the bar
 * @param {boolean} useLog
 * @returns {Bar}
 */
function createBar(column, limits, useLog) {
  const { lo, hi, usualRange: [low, high] } = column;
  const room = useLog ? Infinity : FAR_ENDS * (high - low);
  const start = Math.min(limits[0], lo < low - room ? low - room / 2 : lo);
  const end = Math.max(limits[1], hi > high + room ? high + room / 2 : hi);
  const [from, to] = [start, end].map((value) => column.toScale(value, useLog));
  return {
    start,
    end,
    toPosition: (value) => (to > from ? (column.toScale(value, useLog) - from) / (to - from) : 0),
    toValue: (position) => {
      if (position <= 0) return start;
      return position >= 1 ? end : column.fromScale(from + position * (to - from), useLog);
    },
  };
}

/**
 * Shows the legend of a continuous column in `container`.
 *
 * It calls `onChange` with the parts that the user changed; the legend stays the same while a handle
 * is dragged. Returns a function that shows which cells are visible now.
 *
 * @param {HTMLElement} container
 * @param {ContinuousColumn} column
 * @param {ShownScale} scale
 * @param {OnChange} onChange
 * @returns {(visible: Uint8Array | null) => void}
 */
export function showValueLegend(container, column, scale, onChange) {
  const { log, map, ground } = scale;
  const notes = createElement("div", "notes");
  const heading = createElement("div", "heading",
    Object.assign(createElement("h2", "", column.key), { title: column.key }));
  const labelsNote = createLabelsNote();
  container.replaceChildren(heading);
  if (column.isEmpty) {
    container.append(notes, labelsNote);
    return (visible) => showNotes(notes, countPositions(column, 1, visible, () => 0), null, column);
  }
  const limits = shownRange(column, scale);
  const bar = createBar(column, limits, log);
  const colormapSelect = createColormapSelect(map, (name) => onChange({ map: name }, true));
  if (hasOneColor(column, scale)) {
    container.append(createConstantBar(column, scale), createConstantNote(column), colormapSelect, notes,
      labelsNote);
    return (visible) => {
      const bins = countPositions(column, 1, visible, () => 0);
      showNotes(notes, { ...bins, nZeros: 0 }, bar, column); // the bar says that they are 0
    };
  }
  const histogram = createHistogram();
  heading.append(createButton("small-button", "Reset to the range of most cells",
    () => onChange({ range: null }, true), "Reset"));
  container.append(
    histogram,
    ...createColorBar(bar, limits, { map, ground }, onChange),
    createElement("div", "row",
      createLogCheckbox(log, (checked) => onChange({ log: checked }, true)), colormapSelect),
    notes, labelsNote);
  return (visible) => {
    const bins = countPositions(column, N_BINS, visible, bar.toPosition);
    drawHistogram(histogram, bins);
    showNotes(notes, bins, bar, column);
  };
}

/**
 * A bar in the one color that all cells have.
 *
 * @param {ContinuousColumn} column
 * @param {ShownScale} scale
 */
function createConstantBar({ zeroCode }, { map, ground }) {
  const colorBar = createElement("div", "color-bar");
  const [[, lowest]] = colormapStops(map, ground);
  colorBar.style.background = zeroCode < 0 ? lowest : "var(--zero)";
  return colorBar;
}

/** @param {ContinuousColumn} column */
const createConstantNote = (column) => createElement("p", "note",
  `All cells ${column.missingCount ? "with a value " : ""}are ${column.describe(column.lo)}.`);

function createHistogram() {
  const histogram = document.createElementNS(SVG, "svg");
  histogram.setAttribute("class", "value-histogram");
  histogram.setAttribute("viewBox", `0 0 ${N_BINS} ${HEIGHT}`);
  histogram.setAttribute("preserveAspectRatio", "none");
  histogram.setAttribute("role", "img");
  histogram.append(document.createElementNS(SVG, "path"));
  return histogram;
}

/**
 * Draws the logarithms of the counts: a bin of few cells is still visible.
 *
 * @param {SVGSVGElement} histogram
 * @param {import("../data/value-bins.js").ValueBins} bins
 */
function drawHistogram(histogram, { counts, nCells }) {
  const highest = Math.log1p(Math.max(...counts)) || 1;
  const bars = [...counts].map((count, i) => {
    const height = (HEIGHT * Math.log1p(count)) / highest;
    return count ? `M${i} ${HEIGHT}v${-height.toFixed(2)}h1V${HEIGHT}z` : "";
  });
  histogram.firstElementChild.setAttribute("d", bars.join(""));
  histogram.setAttribute("aria-label",
    `Histogram of the values of ${formatCountOf(nCells, "cell")}, with logarithmic heights`);
}

/**
 * Says which cells are not in the histogram.
 *
 * @param {HTMLElement} notes
 * @param {import("../data/value-bins.js").ValueBins} bins
 * @param {Bar | null} bar
 * @param {ContinuousColumn} column
 */
function showNotes(notes, { nZeros, nMissing, nBelow, nAbove, nCells }, bar, { lo, hi }) {
  const cells = (/** @type {number} */ n) => formatCountOf(n, "cell");
  const addNote = (/** @type {number} */ n, /** @type {string} */ text, swatch = "") => n
    ? [createElement("p", "note", ...(swatch ? [createElement("span", swatch)] : []), text)] : [];
  notes.replaceChildren(
    ...addNote(nZeros, `${formatShare(nZeros, nCells)} of cells are 0`, "swatch zero"),
    ...addNote(nMissing, `${cells(nMissing)} without a value`, "swatch"),
    ...addNote(nBelow, bar && `${cells(nBelow)} below the bar, down to ${formatNumber(lo)}`),
    ...addNote(nAbove, bar && `${cells(nAbove)} above the bar, up to ${formatNumber(hi)}`));
}

/**
 * The bar with a handle for each end of the colors, and boxes for the exact values below it.
 *
 * @param {Bar} bar
 * @param {number[]} shown
 * @param {Pick<ShownScale, "map" | "ground">} colors
 * @param {OnChange} onChange
 */
function createColorBar({ toPosition, toValue }, shown, { map, ground }, onChange) {
  /** @type {[number, number]} */
  const limits = [shown[0], shown[1]];
  const colorBar = createElement("div", "color-bar");
  const names = ["Lower end of the colors", "Upper end of the colors"];
  const boxes = names.map((name) => {
    const box = createNumberBox({ className: "limit" });
    box.setAttribute("aria-label", `${name}, as a number`);
    return box;
  });
  const handles = names.map((name, side) => {
    const handle = Object.assign(createElement("input", "handle"), {
      type: "range", min: "0", max: String(STEPS),
      value: String(Math.round(STEPS * toPosition(limits[side]))),
    });
    handle.setAttribute("aria-label", name);
    return handle;
  });
  const update = () => {
    const [start, end] = handles.map((handle) => Number(handle.value) / STEPS);
    colorBar.style.backgroundImage = colormapGradient(map, ground, start, end);
    const tolerance = (limits[1] - limits[0]) / 1000;
    handles.forEach((handle, side) => {
      boxes[side].value = formatValue(limits[side], tolerance, 4);
      handle.setAttribute("aria-valuetext", formatNumber(limits[side]));
    });
    handles[0].classList.toggle("on-top", start > 0.5); // the handle that still has room to move
  };
  handles.forEach((handle, side) => handle.addEventListener("input", () => {
    const other = Number(handles[1 - side].value);
    const [min, max] = side ? [other + 1, STEPS] : [0, other - 1];
    const value = Math.min(max, Math.max(min, Number(handle.value)));
    handle.value = String(value);
    limits[side] = toValue(value / STEPS);
    update();
    onChange({ range: [limits[0], limits[1]] });
  }));
  boxes.forEach((box, side) => box.addEventListener("change", () => {
    const value = readNumber(box.value);
    const [low, high] = limits.with(side, value);
    refused.textContent = Number.isNaN(value) ? explainNoNumber(box.value) : "";
    if (low < high) {
      limits[side] = value; // for a press on a handle that ends the typing
      onChange({ range: [low, high] }, true);
    } else update(); // not a number, or beyond the other end
  }));
  const refused = createElement("p", "refused");
  refused.setAttribute("role", "status");
  update();
  return [
    createElement("div", "range-slider", colorBar, ...handles),
    createElement("div", "range-limits", ...boxes),
    refused,
  ];
}

/**
 * @param {boolean} checked
 * @param {(checked: boolean) => void} onChange
 */
function createLogCheckbox(checked, onChange) {
  const input = Object.assign(createElement("input"), { type: "checkbox", id: "log", checked });
  input.addEventListener("change", () => onChange(input.checked));
  const label = createElement("label", "checkbox", input, "Log");
  label.title = "log(value) if all values are positive, else log(1 + value - lowest value)";
  return label;
}

/**
 * @param {string} value
 * @param {(name: string) => void} onChange
 */
function createColormapSelect(value, onChange) {
  const options = COLORMAP_NAMES.map((name) => new Option(name, name));
  const select = createElement("select", "", ...options);
  Object.assign(select, { id: "map", value });
  select.addEventListener("change", () => onChange(select.value));
  const label = createElement("label", "inline-label", "Colors");
  label.htmlFor = "map";
  return createElement("div", "row", label, select);
}
