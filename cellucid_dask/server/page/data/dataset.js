// Reads one dataset of the server: manifests, points, fields, genes, edges and vectors.

import { CategoricalColumn, ContinuousColumn, OutlierQuantiles } from "./columns.js";

const EXTENSIONS = { uint8: "u8", uint16: "u16" };
const MAX_CODE = { uint8: 254, uint16: 65534 };

/** File name of a key, by the same rule as the exporter. */
function fileNameOfKey(key) {
  return key.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._]+|[._]+$/g, "") || "field";
}

/** ["obs", "cell_type"] of "obs:cell_type". */
export function splitColumnId(columnId) {
  const colon = columnId.indexOf(":");
  return [columnId.slice(0, colon), columnId.slice(colon + 1)];
}

const byKey = (fields) => new Map((fields ?? []).map((field) => [field[0], field]));

/**
 * A dataset: its identity, and everything else on demand.
 *
 * A column id is "obs:KEY" of a field or "gene:NAME"; "" means no column.
 */
export class Dataset {
  #points = new Map();

  constructor(identity) {
    this.identity = identity;
    this.nCells = identity.stats.n_cells;
    this.vectorFields = identity.vector_fields?.fields ?? {};
    this.nEdges = identity.stats.has_connectivity ? identity.stats.n_edges : 0;
  }

  /** (n_cells, d) float32 between -1 and 1. */
  async readPoints(reader, d) {
    if (!this.#points.has(d)) {
      const path = this.identity.embeddings.files[`${d}d`];
      this.#points.set(d, await reader.readArray(path, "float32", this.nCells * d));
    }
    return this.#points.get(d);
  }

  /** Reads the list of obs fields: `categorical` and `continuous`, both by key. */
  async readFields(reader) {
    this.obsManifest = await reader.readJson("obs_manifest.json");
    this.categorical = byKey(this.obsManifest._categoricalFields);
    this.continuous = byKey(this.obsManifest._continuousFields);
  }

  /** Reads the list of `genes`, by name. */
  async readGenes(reader) {
    const ignoreNotFound = (error) => {
      if (error.status !== 404) throw error; // 404: the export has no gene expression
    };
    const hasGenes = this.identity.stats.n_genes !== 0;
    this.varManifest =
      hasGenes && (await reader.readJson("var_manifest.json").catch(ignoreNotFound));
    this.genes = byKey(this.varManifest?.fields);
  }

  hasColumn(columnId) {
    const [kind, key] = splitColumnId(columnId);
    if (kind === "gene") return this.genes.has(key);
    if (kind === "obs") return this.categorical.has(key) || this.continuous.has(key);
    return columnId === "";
  }

  /** Column of all cells. */
  async readColumn(reader, columnId) {
    const [kind, key] = splitColumnId(columnId);
    const categorical = kind === "obs" && this.categorical.get(key);
    if (categorical) return this.#readCategorical(reader, categorical);
    return kind === "gene"
      ? this.#readContinuous(reader, this.varManifest._varSchema, this.genes.get(key))
      : this.#readContinuous(
        reader, this.obsManifest._obsSchemas.continuous, this.continuous.get(key));
  }

  async #readCategorical(reader, [key, names, dtype, missingCode, centroids]) {
    const pattern = this.obsManifest._obsSchemas.categorical.codesPathPattern;
    const path = pattern.replace("{key}", fileNameOfKey(key)).replace("{ext}", EXTENSIONS[dtype]);
    const codes = await reader.readArray(path, dtype, this.nCells);
    const fileColors = this.obsManifest._categoryColors?.[key];
    return new CategoricalColumn(key, names, codes, missingCode, centroids ?? {}, fileColors);
  }

  async #readContinuous(reader, { pathPattern, dtype, quantized }, [key, lo, hi]) {
    const path = pathPattern.replace("{key}", fileNameOfKey(key));
    const codes = await reader.readArray(path, dtype, this.nCells);
    return quantized
      ? ContinuousColumn.fromCodes(key, codes, MAX_CODE[dtype], lo, hi)
      : ContinuousColumn.fromFloats(key, codes);
  }

  /** Whether there are outlier quantiles: older exports have none. */
  get hasOutliers() {
    return Boolean(this.obsManifest._obsSchemas.categorical.outlierPathPattern);
  }

  /** Outlier quantiles of a categorical field. */
  async readOutliers(reader, key) {
    const { outlierPathPattern: pattern, outlierDtype: dtype, outlierQuantized: quantized } =
      this.obsManifest._obsSchemas.categorical;
    const [lo, hi] = this.categorical.get(key).slice(5);
    const path = pattern.replace("{key}", fileNameOfKey(key));
    const codes = await reader.readArray(path, dtype, this.nCells);
    if (!quantized) return new OutlierQuantiles(codes, { lo: 0, step: 0, missingCode: 2 });
    const maxCode = MAX_CODE[dtype];
    const decoding = { lo, step: (hi - lo) / maxCode, missingCode: maxCode + 1 };
    return new OutlierQuantiles(codes, decoding);
  }

  /** (n_cells, d) float32 vectors of a vector field, in units of the embedding. */
  readVectors(reader, field, d) {
    return reader.readArray(this.vectorFields[field].files[`${d}d`], "float32", this.nCells * d);
  }

  /** Cell indices [source, destination, ...]; an even sample if there are more than `maxEdges`. */
  async readEdges(reader, maxEdges) {
    const manifest = await reader.readJson("connectivity_manifest.json");
    const { index_dtype: dtype, sourcesPath, destinationsPath } = manifest;
    const n = this.nEdges;
    const [sources, destinations] = await Promise.all(
      [sourcesPath, destinationsPath].map((path) => reader.readArray(path, dtype, n)));
    const sampleSize = Math.min(n, maxEdges);
    const pairs = new Uint32Array(2 * sampleSize);
    for (let i = 0; i < sampleSize; i++) {
      const edge = Math.floor((i * n) / sampleSize);
      pairs[2 * i] = Number(sources[edge]);
      pairs[2 * i + 1] = Number(destinations[edge]);
    }
    return pairs;
  }
}
