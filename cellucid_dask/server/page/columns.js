// Columns: one code or value for every cell, with what is needed to read it.

const ABSENT = Math.fround(3e38); // stands for NaN and Inf, which shaders may not tell
const LEAST = 1e-38; // that has a logarithm; a link may hold a range with less

/** Codes of a categorical field: the category of every cell. */
export class Categories {
  constructor(key, names, codes, missing, centroids) {
    Object.assign(this, { key, names, codes, missing, centroids });
    this.categorical = true;
    this.counts = new Uint32Array(missing + 1);
    for (let i = 0; i < codes.length; i++) this.counts[codes[i]]++;
    this.rows = names.map((name, code) => ({ name, code, cells: this.counts[code] }));
    const rest = this.rows.reduce((left, { cells }) => left - cells, codes.length);
    if (rest) this.rows.push({ name: "missing", code: missing, cells: rest });
  }

  /** Name of the category of a cell. */
  text(i) {
    return this.names[this.codes[i]] ?? "missing";
  }

  above() {
    return true; // later cells lie on earlier ones
  }
}

/** Values of a field or a gene: origin + code * step; codes from `absent` up have no value. */
export class Values {
  constructor(key, codes, { origin, step, absent, lo, hi }) {
    Object.assign(this, { key, codes, origin, step, absent, lo, hi });
    this.categorical = false;
    this.missing = 0;
    for (let i = 0; i < codes.length; i++) if (codes[i] >= absent) this.missing++;
    this.empty = this.missing === codes.length;
  }

  /** Of codes from 0 to `most`, as an export has them; `most` + 1 is missing. */
  static quantized(key, codes, most, lo, hi) {
    const step = (hi - lo) / most;
    return new Values(key, codes, { origin: lo, step, absent: most + 1, lo, hi });
  }

  /** Of float32 values, which are changed: NaN and Inf become a number that means missing. */
  static measured(key, values) {
    let [lo, hi] = [Infinity, -Infinity];
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (!Number.isFinite(value)) {
        values[i] = ABSENT;
        continue;
      }
      if (value < lo) lo = value;
      if (value > hi) hi = value;
    }
    if (lo > hi) [lo, hi] = [0, 1];
    return new Values(key, values, { origin: 0, step: 1, absent: ABSENT, lo, hi });
  }

  /** Value of a cell, NaN where it has none. */
  value(i) {
    const code = this.codes[i];
    return code >= this.absent ? NaN : this.origin + code * this.step;
  }

  text(i) {
    const value = this.value(i);
    return Number.isNaN(value) ? "no value" : String(Number(value.toPrecision(6)));
  }

  above(i, j) {
    const at = (k) => (this.codes[k] >= this.absent ? -1 : this.codes[k]);
    return at(i) > at(j) || (at(i) === at(j) && i > j);
  }

  /** How values lie on the scale: as they are, or by their logarithm. */
  scaled(value, logarithmic) {
    return logarithmic ? Math.log(Math.max(value + this.shift, LEAST)) : value;
  }

  /** Inverse of `scaled`. */
  unscaled(at, logarithmic) {
    return logarithmic ? Math.exp(at) - this.shift : at;
  }

  /** Added before the logarithm: nothing where all are positive, else what makes the least 1. */
  get shift() {
    return this.lo > 0 ? 0 : 1 - this.lo;
  }
}

/** Outlier quantiles of a categorical field, as codes; from `marker` up a cell has none. */
export class Outliers {
  constructor(codes, { lo, step, marker }) {
    Object.assign(this, { codes, lo, step, marker });
    if (!(codes instanceof Float32Array)) return;
    for (let i = 0; i < codes.length; i++) if (!(codes[i] <= 1)) codes[i] = marker;
  }

  /** The largest code that is shown with a filter at a quantile. */
  most(quantile) {
    const slack = quantile + 1e-6; // a quantile of exactly the slider's stays
    return this.step ? Math.floor((slack - this.lo) / this.step) : Math.fround(slack);
  }
}
