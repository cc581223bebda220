// Columns: one code or value for every cell, and how to decode it.

import { countCodes } from "./code-counts.js";
import { findUsualRange } from "./quantiles.js";
import { formatValue, isRounded } from "./value-text.js";

const MISSING_VALUE = Math.fround(3e38); // replaces NaN and Inf, which a shader may not recognize
const CODE_ROUNDING = 0.02; // of a step: codes are computed with float32, which has 24 bits for 16 of them
const TEXT_ROUNDING = 1e-5; // by what part of a value its text may differ from it
const SMALLEST = 1e-38; // of which a logarithm is taken; the range of a link may have less

/** @typedef {Uint8Array | Uint16Array | Float32Array} Codes */
/**
 * @typedef {{origin: number, step: number, missingCode: number, lo: number, hi: number}} Decoding
 *   how values follow from codes, and the range of the values
 */
/** @typedef {CategoricalColumn | ContinuousColumn} Column */

/**
 * What cells without a category are called: not as a category of the column is.
 *
 * @param {string[]} names of the categories
 * @param {string} [name] if no category has it
 */
export function nameMissing(names, name = "missing") {
  const taken = new Set(names.map((each) => each.trim().toLowerCase()));
  if (!taken.has(name)) return name;
  let other = "no category";
  while (taken.has(other)) other = `(${other})`;
  return other;
}

/** Codes of a categorical field: the category of every cell. */
export class CategoricalColumn {
  /** @type {true} */
  isCategorical = true;

  /**
   * @param {string} key
   * @param {string[]} names of the categories by code
   * @param {Codes} codes of all cells
   * @param {number} missingCode
   * @param {string[]} [fileColors] "#rrggbb" by code, if the file has colors for them
   * @param {string} [missingName] of cells without a category, if no category has this name
   */
  constructor(key, names, codes, missingCode, fileColors, missingName) {
    this.key = key;
    this.id = `obs:${key}`;
    this.names = names;
    this.codes = codes;
    this.missingCode = missingCode;
    this.fileColors = fileColors;
    this.missingName = nameMissing(names, missingName);
    const counts = countCodes(codes, missingCode, null);
    this.categories = names.map((name, code) => ({ name, code, cellCount: counts[code] }));
    const missingCount =
      this.categories.reduce((left, { cellCount }) => left - cellCount, codes.length);
    if (missingCount) {
      this.categories.push(
        { name: this.missingName, code: missingCode, cellCount: missingCount });
    }
  }

  /**
   * Name of the category of cell `i`.
   *
   * @param {number} i
   */
  formatValue(i) {
    return this.names[this.codes[i]] ?? this.missingName;
  }
}

/** Values of a continuous field or a gene: origin + code * step; missing if code >= missingCode. */
export class ContinuousColumn {
  /** @type {false} */
  isCategorical = false;
  /** @type {[low: number, high: number]} */
  #usualRange;

  /**
   * @param {string} key
   * @param {Codes} codes
   * @param {Decoding} decoding
   */
  constructor(key, codes, { origin, step, missingCode, lo, hi }) {
    this.key = key;
    this.codes = codes;
    this.origin = origin;
    this.step = step;
    this.missingCode = missingCode;
    this.lo = lo;
    this.hi = hi;
    this.missingCount = 0;
    for (let i = 0; i < codes.length; i++) if (codes[i] >= missingCode) this.missingCount++;
    this.isEmpty = this.missingCount === codes.length;
    this.zeroCode = lo === 0 ? 0 : -1; // of cells at 0, if no value is below; -1 if there are none
  }

  /** The range of values that colors span at first. */
  get usualRange() {
    this.#usualRange ??= findUsualRange(this);
    return this.#usualRange;
  }

  /**
   * From quantized codes 0 to `maxCode`, as in an export; `maxCode` + 1 is missing. A constant column
   * has only the code 0: `hi` is then not a value of it, but what the format asks for.
   *
   * @param {string} key
   * @param {Codes} codes
   * @param {number} maxCode
   * @param {number} lo
   * @param {number} hi
   */
  static fromCodes(key, codes, maxCode, lo, hi) {
    const isConstant = codes.every((/** @type {number} */ code) => code === 0 || code > maxCode);
    const highest = isConstant ? lo : hi;
    const step = (highest - lo) / maxCode;
    const decoding = { origin: lo, step, missingCode: maxCode + 1, lo, hi: highest };
    return new ContinuousColumn(key, codes, decoding);
  }

  /**
   * From float32 values. Changes them: NaN and Inf become MISSING_VALUE.
   *
   * @param {string} key
   * @param {Float32Array} values
   */
  static fromFloats(key, values) {
    let [lo, hi] = [Infinity, -Infinity];
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (!Number.isFinite(value)) {
        values[i] = MISSING_VALUE;
        continue;
      }
      if (value < lo) lo = value;
      if (value > hi) hi = value;
    }
    if (lo > hi) [lo, hi] = [0, 1];
    const decoding = { origin: 0, step: 1, missingCode: MISSING_VALUE, lo, hi };
    return new ContinuousColumn(key, values, decoding);
  }

  /**
   * Value of cell `i`; NaN if it is missing.
   *
   * @param {number} i
   */
  value(i) {
    const code = this.codes[i];
    return code >= this.missingCode ? NaN : this.origin + code * this.step;
  }

  /** @param {number} i */
  formatValue(i) {
    const value = this.value(i);
    return Number.isNaN(value) ? "no value" : this.describe(value);
  }

  /**
   * A value as text, from which a filter finds its cells again.
   *
   * @param {number} value
   */
  textOf(value) {
    return formatValue(value, this.codes instanceof Float32Array ? 0 : this.step / 8);
  }

  /**
   * A value as text to read: one that may be another whole number in the file has "≈" before it.
   *
   * @param {number} value
   */
  describe(value) {
    return `${isRounded(value) ? "≈ " : ""}${this.textOf(value)}`;
  }

  /**
   * For integer codes: a byte for every code, 1 if the value that it stands for may be from `low`
   * to `high`. Quantization takes a value down by up to a step; but 0 as the lowest one, which most
   * cells of a gene have, stays what it was. A code also passes if the text of its value does.
   *
   * @param {number} low
   * @param {number} high
   */
  passingCodes(low, high) {
    const passes = new Uint8Array(this.missingCode + 1);
    const rounding = CODE_ROUNDING * this.step;
    for (let code = 0; code < this.missingCode; code++) {
      const value = this.origin + code * this.step;
      const isZero = code === this.zeroCode;
      const [least, most] = isZero ? [0, 0] : [value - rounding, value + this.step + rounding];
      passes[code] = Number(most >= low && least <= high) || this.#textPasses(value, low, high);
    }
    return passes;
  }

  /** @type {(value: number, low: number, high: number) => number} */
  #textPasses(value, low, high) {
    const rounding = TEXT_ROUNDING * Math.abs(value);
    if (value + rounding < low || value - rounding > high) return 0;
    const shown = Number(this.textOf(value));
    return Number(shown >= low && shown <= high);
  }

  /**
   * Position of a value on the color scale: the value itself, or its logarithm.
   *
   * @param {number} value
   * @param {boolean} useLog
   */
  toScale(value, useLog) {
    return useLog ? Math.log(Math.max(value + this.logShift, SMALLEST)) : value;
  }

  /**
   * Inverse of `toScale`.
   *
   * @param {number} position
   * @param {boolean} useLog
   */
  fromScale(position, useLog) {
    return useLog ? Math.exp(position) - this.logShift : position;
  }

  /** Added before the logarithm: 0 if all values are positive, else what makes the lowest 1. */
  get logShift() {
    return this.lo > 0 ? 0 : 1 - this.lo;
  }
}

/** Outlier quantiles of a categorical field, as codes; codes >= missingCode have no quantile. */
export class OutlierQuantiles {
  /**
   * @param {Codes} codes
   * @param {{lo: number, step: number, missingCode: number}} decoding
   */
  constructor(codes, { lo, step, missingCode }) {
    this.codes = codes;
    this.lo = lo;
    this.step = step;
    this.missingCode = missingCode;
    if (!(codes instanceof Float32Array)) return;
    for (let i = 0; i < codes.length; i++) if (!(codes[i] <= 1)) codes[i] = missingCode;
  }

  /**
   * The largest code that a filter at `quantile` still shows.
   *
   * @param {number} quantile
   */
  maxVisibleCode(quantile) {
    const limit = quantile + 1e-6; // keeps a quantile that is equal to the value of the slider
    return this.step ? Math.floor((limit - this.lo) / this.step) : Math.fround(limit);
  }
}
