// The editor of a range of values: a histogram to drag over, two handles and two numbers.

import { countPositions } from "../data/value-bins.js";
import { createElement, formatCountOf, formatShare } from "../dom.js";
import { loaded } from "../state.js";
import { createNumberBox, explainNoNumber, readNumber } from "./number-box.js";

const [WIDTH, HEIGHT, N_BINS] = [240, 56, 60];
const EDGE = 0.02; // part of the width

export class RangeEditor {
  /** @type {[number | null, number | null]} */
  #limits = [null, null];
  #canvas = Object.assign(createElement("canvas", "histogram"), { width: WIDTH, height: HEIGHT });
  #inputs = ["At least", "At most"].map((label) =>
    createNumberBox({ ariaLabel: label, placeholder: label.toLowerCase() }));
  #refused = createElement("p", "refused"); // what was typed and is no number

  /** @type {HTMLInputElement | null} The box with a number that is not applied yet. */
  #typed = null;

  /**
   * @param {import("../data/columns.js").ContinuousColumn} column
   * @param {(from: number | null, to: number | null) => void} onChange
   */
  constructor(column, onChange) {
    this.column = column;
    this.onChange = onChange;
    this.all = this.#countBins(null);
    const { nZeros } = this.all;
    const { missingCount } = column;
    const nCells = column.codes.length;
    const zeros = nZeros
      ? `${formatCountOf(nZeros, "cell")} (${formatShare(nZeros, nCells)}) at 0. ` : "";
    const missing = missingCount
      ? `${formatCountOf(missingCount, "cell")} without a value, which no range keeps. ` : "";
    const values = `Values from ${column.describe(column.lo)} to ${column.describe(column.hi)}. `
      + "Drag over the histogram to keep a range.";
    const note = `${zeros}${missing}${column.isEmpty ? "" : values}`;
    this.#canvas.setAttribute("role", "img");
    this.#canvas.setAttribute("aria-label", "Histogram of the values");
    this.#refused.setAttribute("role", "status");
    this.element = createElement("div", "range-editor", this.#canvas,
      createElement("div", "row", ...this.#inputs), this.#refused, createElement("p", "note", note));
    this.#inputs.forEach((input, side) => input.addEventListener("change", () => {
      this.#typed = null;
      const text = input.value.trim();
      const limit = text === "" ? null : readNumber(text);
      if (Number.isNaN(limit)) { // not the wish to have no limit
        this.#refused.textContent = explainNoNumber(text);
        this.show(...this.#limits);
        return;
      }
      const limits = side ? [this.#limits[0], limit] : [limit, this.#limits[1]];
      this.#report(limits[0], limits[1]);
    }));
    for (const input of this.#inputs) {
      input.addEventListener("input", () => { this.#typed = input; });
      input.addEventListener("blur", () => {
        if (this.#typed !== input) return;
        this.#typed = null; // no change event came: its text is no number, or is the old one again
        this.show(...this.#limits);
      });
    }
    this.#listen();
  }

  /** @param {Uint8Array | null} mask */
  #countBins(mask) {
    return countPositions(this.column, N_BINS, mask, (value) => this.#positionOf(value));
  }

  /**
   * Position of a value along the histogram: 0 for the lowest one, 1 for the highest.
   *
   * @param {number} value
   */
  #positionOf(value) {
    const { lo, hi } = this.column;
    return (value - lo) / (hi - lo || 1);
  }

  /**
   * Shows the limits of the filter.
   *
   * @param {number | null} from
   * @param {number | null} to
   */
  show(from, to) {
    this.#limits = [from, to];
    this.#limits.forEach((limit, side) => {
      const input = this.#inputs[side];
      if (input !== this.#typed) input.value = limit === null ? "" : String(limit);
    });
    this.#draw();
  }

  /**
   * @param {number | null} from
   * @param {number | null} to
   */
  #report(from, to) {
    this.#refused.textContent = "";
    const isSwapped = from !== null && to !== null && from > to;
    if (isSwapped) this.onChange(to, from);
    else this.onChange(from, to);
  }

  /** A drag over the histogram keeps the values below it; a click keeps all. */
  #listen() {
    const canvas = this.#canvas;
    /** @type {number | null} */
    let start = null;
    const valueAt = (/** @type {PointerEvent} */ event) => {
      const { lo, hi } = this.column;
      const part = event.offsetX / canvas.clientWidth;
      if (part < EDGE) return lo; // else a drag to the edge would lose the cells there
      return part > 1 - EDGE ? hi : roundTo(lo + part * (hi - lo), (hi - lo) / 1000);
    };
    canvas.addEventListener("pointerdown", (event) => {
      start = valueAt(event);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (start === null) return;
      const { lo, hi } = this.column;
      const [from, to] = [start, valueAt(event)].sort((a, b) => a - b);
      if (to - from > (hi - lo) / 200) this.#report(from <= lo ? null : from, to >= hi ? null : to);
    });
    canvas.addEventListener("pointerup", (event) => {
      const isClick = Math.abs(valueAt(event) - start) <= (this.column.hi - this.column.lo) / 200;
      start = null;
      if (isClick) this.#report(null, null);
    });
    canvas.addEventListener("pointercancel", () => { start = null; });
  }

  /** The cells that all filters keep are darker; the square root shows small bins too. */
  #draw() {
    const context = this.#canvas.getContext("2d");
    const { counts } = this.all;
    const shown = this.#countBins(loaded.visible).counts;
    const style = getComputedStyle(this.#canvas);
    const highest = Math.sqrt(Math.max(1, ...counts));
    context.clearRect(0, 0, WIDTH, HEIGHT);
    const drawBars = (/** @type {Uint32Array} */ bins, /** @type {string} */ color) => {
      context.fillStyle = color;
      const width = WIDTH / N_BINS;
      bins.forEach((count, i) => {
        const height = (HEIGHT * Math.sqrt(count)) / highest;
        context.fillRect(i * width, HEIGHT - height, width - 1, height);
      });
    };
    drawBars(counts, style.getPropertyValue("border-color"));
    drawBars(shown, style.color);
    context.fillStyle = style.getPropertyValue("outline-color");
    this.#limits.forEach((limit) => {
      if (limit === null) return;
      const x = WIDTH * this.#positionOf(limit);
      context.fillRect(Math.min(WIDTH - 2, Math.max(0, x - 1)), 0, 2, HEIGHT);
    });
  }
}

/**
 * The number with as few digits as make a difference of `step` at most.
 *
 * @param {number} value
 * @param {number} step
 */
const roundTo = (value, step) =>
  Number(value.toFixed(Math.min(20, Math.max(0, Math.ceil(-Math.log10(step))))));
