// The files of columns: where the manifests say that they are, and how their codes are decoded.

import { CategoricalColumn, ContinuousColumn, OutlierQuantiles } from "./columns.js";

/** @typedef {import("./columns.js").Codes} Codes */
/** @typedef {Record<string, any>} Manifest of obs */
/** @typedef {Record<string, any>} ValueSchema of a manifest, for all its columns of values */
/**
 * @typedef {[key: string, names: string[], dtype: string, missingCode: number, ...unknown[]]}
 *   CategoricalField of the manifest of obs; the rest is on centroids and outlier quantiles
 * @typedef {[key: string, lo?: number, hi?: number]} ValueField of a manifest: a column or a gene
 */
/**
 * @template Decoded
 * @typedef {{path: string, dtype: string, decode: (codes: Codes) => Decoded}} CellFile with a code for
 *   each cell
 */

/** @type {Record<string, string>} */
const EXTENSIONS = { uint8: "u8", uint16: "u16" };
/** @type {Record<string, number>} */
const MAX_CODE = { uint8: 254, uint16: 65534 };

/**
 * A path with the file name of a key, by the same rule as the exporter.
 *
 * @param {string} pattern
 * @param {string} key
 */
function fillPattern(pattern, key) {
  const name = key.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._]+|[._]+$/g, "") || "field";
  return pattern.replace("{key}", name);
}

/**
 * The file of a categorical field.
 *
 * @param {Manifest} manifest
 * @param {CategoricalField} field
 * @returns {CellFile<CategoricalColumn>}
 */
export function findCategories(manifest, [key, names, dtype, missingCode]) {
  const pattern = manifest._obsSchemas.categorical.codesPathPattern;
  const fileColors = manifest._categoryColors?.[key];
  return {
    path: fillPattern(pattern, key).replace("{ext}", EXTENSIONS[dtype]),
    dtype,
    decode: (codes) => new CategoricalColumn(key, names, codes, missingCode, fileColors),
  };
}

/**
 * The file of a continuous field, or of a gene.
 *
 * @param {ValueSchema} schema
 * @param {ValueField} field
 * @param {string} [name] to show
 * @returns {CellFile<ContinuousColumn>}
 */
export function findValues({ pathPattern, dtype, quantized }, [key, lo, hi], name = key) {
  return {
    path: fillPattern(pathPattern, key),
    dtype,
    decode: (codes) => (quantized
      ? ContinuousColumn.fromCodes(name, codes, MAX_CODE[dtype], lo, hi)
      : ContinuousColumn.fromFloats(name, /** @type {Float32Array} */ (codes))),
  };
}

/**
 * Into how many steps the range of each column of a schema is divided; 0 if values are exact.
 *
 * @param {ValueSchema} schema
 */
export const countSteps = ({ quantized, dtype }) => (quantized ? MAX_CODE[dtype] : 0);

/**
 * Whether a dataset has outlier quantiles: older exports have none.
 *
 * @param {Manifest} manifest
 */
export const hasOutliers = (manifest) =>
  Boolean(manifest._obsSchemas.categorical.outlierPathPattern);

/**
 * The range of the outlier quantiles of a field; empty where the manifest does not say it.
 *
 * @param {CategoricalField} field
 */
export const outlierRange = (field) => /** @type {[lo: number, hi: number]} */ (field.slice(5));

/**
 * The file of the outlier quantiles of a categorical field.
 *
 * @param {Manifest} manifest
 * @param {string} key
 * @param {() => Promise<[lo: number, hi: number]>} readRange of the quantiles, if they are quantized
 * @returns {CellFile<Promise<OutlierQuantiles>>}
 */
export function findOutliers(manifest, key, readRange) {
  const { outlierPathPattern, outlierDtype: dtype, outlierQuantized: quantized } =
    manifest._obsSchemas.categorical;
  return {
    path: fillPattern(outlierPathPattern, key),
    dtype,
    decode: async (codes) => {
      if (!quantized) return new OutlierQuantiles(codes, { lo: 0, step: 0, missingCode: 2 });
      const maxCode = MAX_CODE[dtype];
      const [lo, hi] = await readRange();
      const decoding = { lo, step: (hi - lo) / maxCode, missingCode: maxCode + 1 };
      return new OutlierQuantiles(codes, decoding);
    },
  };
}
