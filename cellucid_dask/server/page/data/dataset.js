// Reads one dataset of the server: manifests, points, fields, genes, edges and vectors.

import { CategoricalColumn, ContinuousColumn, OutlierQuantiles } from "./columns.js";
import { GeneNames } from "./gene-names.js";
import { LoadError, Reader } from "./reader.js";

/** @type {Record<string, string>} */
const EXTENSIONS = { uint8: "u8", uint16: "u16" };
/** @type {Record<string, number>} */
const MAX_CODE = { uint8: 254, uint16: 65534 };

/**
 * File name of a key, by the same rule as the exporter.
 *
 * @param {string} key
 */
function fileNameOfKey(key) {
  return key.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._]+|[._]+$/g, "") || "field";
}

/**
 * @typedef {object} Embedding
 * @property {string} id obsm key, or "2d" and the like if the dataset does not name it
 * @property {number} dimension 1, 2 or 3
 * @property {string} path
 * @property {boolean} isDefault whether it is the default of its dimension
 * @property {boolean} yDown whether y points down in the file, as in an image
 * @property {string} problem why it cannot be shown, as far as that is known; "" if it can
 */

/**
 * All embeddings, the defaults first; older exports do not list them.
 *
 * @param {Record<string, any>} embeddings of the identity
 * @returns {Embedding[]}
 */
function listEmbeddings({ available_dimensions: dimensions, files, sources }) {
  const unnamed = dimensions.map((/** @type {number} */ dimension) => {
    return { id: `${dimension}d`, dimension, path: files[`${dimension}d`] };
  });
  /** @type {Record<string, any>[]} */
  const listed = sources ?? unnamed;
  // Live data may have arrays of a dimension without a default: then it is the first of them.
  const defaultPath = (/** @type {number} */ d) =>
    files[`${d}d`] ?? listed.find(({ dimension }) => dimension === d).path;
  return listed.map(({ id, dimension, path, y_down: yDown = false }) => {
    return { id, dimension, path, yDown, isDefault: path === defaultPath(dimension), problem: "" };
  });
}

/**
 * Changes the sign of y, in place.
 *
 * @param {Float32Array} points
 * @param {number} dimension
 */
function negateY(points, dimension) {
  for (let i = 1; i < points.length; i += dimension) points[i] = -points[i];
  return points;
}

/**
 * ["obs", "cell_type"] of "obs:cell_type".
 *
 * @param {string} columnId
 */
export function splitColumnId(columnId) {
  const colon = columnId.indexOf(":");
  return [columnId.slice(0, colon), columnId.slice(colon + 1)];
}

// Asks for a manifest without what takes the server a pass over all cells: centroids, ranges of
// outlier quantiles, the number of edges. An export has them all, and sends them.
const NO_SUMMARIES = "summaries=";
const CHECK_MS = 1000; // between two looks at the identity; the server looks as often for a new export

/** @param {Reader} reader */
const readIdentity = (reader) => reader.readJson("dataset_identity.json", NO_SUMMARIES);

/**
 * @param {any[] | undefined} fields each begins with its key
 * @returns {Map<string, any>}
 */
const byKey = (fields) => new Map((fields ?? []).map((field) => [field[0], field]));

/**
 * A dataset: its identity, and everything else on demand.
 *
 * A column id is "obs:KEY" of a field or "gene:NAME"; "" means no column.
 */
export class Dataset {
  #points = new Map(); // by path
  #checkTime = performance.now(); // of the last look at the identity

  /**
   * Dataset of the files of a reader.
   *
   * @param {Reader} reader
   */
  static async open(reader) {
    return new Dataset(await readIdentity(reader));
  }

  /** @param {Record<string, any>} identity */
  constructor(identity) {
    this.identity = identity;
    this.nCells = identity.stats.n_cells;
    this.vectorFields = identity.vector_fields?.fields ?? {};
    // null: there are some, and they are counted when they are read
    this.nEdges = identity.stats.has_connectivity ? identity.stats.n_edges : 0;
    this.embeddings = listEmbeddings(identity.embeddings);
  }

  /**
   * Whether the server still has what was opened, and not a new export or other data.
   *
   * @param {Reader} reader
   */
  async isCurrent(reader) {
    const identity = await readIdentity(reader);
    this.#checkTime = performance.now();
    return JSON.stringify(identity) === JSON.stringify(this.identity);
  }

  /**
   * Looks from time to time whether the server has other data by now: their cells may be others, or
   * in another order, and must not be shown with those that are loaded.
   *
   * @param {Reader} reader
   * @param {string} path of the file that is read
   * @throws {LoadError} if it has
   */
  async checkVersion({ root, signal }, path) {
    if (performance.now() - this.#checkTime < CHECK_MS) return;
    const silent = new Reader(root, signal, () => {});
    const isCurrent = await this.isCurrent(silent).catch(() => true); // the file itself says what fails
    if (!isCurrent) {
      this.#checkTime = -Infinity;
      throw new LoadError(path, 0, "the server has other data by now, such as a new export; "
        + "to show them, click Retry or reload the page");
    }
  }

  /**
   * Numbers of the cells, of the version of the dataset that was opened.
   *
   * @param {Reader} reader
   * @param {string} path
   * @param {string} dtype
   * @param {number} length
   */
  async #readArray(reader, path, dtype, length) {
    const reading = reader.readArray(path, dtype, length);
    reading.catch(() => {}); // that there are other data explains more
    await this.checkVersion(reader, path);
    return reading;
  }

  /**
   * The embedding `id` of `d` dimensions; the default of these if there is no such embedding.
   *
   * @param {string} id obsm key; "" is the default
   * @param {number} d
   * @returns {Embedding | undefined} undefined if there are no points of `d` dimensions
   */
  findEmbedding(id, d) {
    const ofDimension = this.embeddings.filter(({ dimension }) => dimension === d);
    return ofDimension.find((embedding) => embedding.id === id)
      ?? ofDimension.find(({ isDefault }) => isDefault);
  }

  /**
   * Notes that embeddings cannot be shown: the server knows when it has read them.
   *
   * @param {Record<string, string>} problems by id
   */
  noteProblems(problems) {
    for (const embedding of this.embeddings) embedding.problem ||= problems[embedding.id] ?? "";
  }

  /** Forgets which files of embeddings could not be loaded: they may be there by now. */
  forgetLoadErrors() {
    for (const embedding of this.embeddings) {
      if (embedding.problem.startsWith(`${embedding.path}: `)) embedding.problem = "";
    }
  }

  /**
   * Points between -1 and 1 with y pointing up, cell by cell.
   *
   * @param {import("./reader.js").Reader} reader
   * @param {Embedding | number} embedding a number stands for the default of this dimension
   * @returns {Promise<Float32Array>}
   */
  async readPoints(reader, embedding) {
    const found = typeof embedding === "number" ? this.findEmbedding("", embedding) : embedding;
    const { path, dimension, yDown } = found;
    if (!this.#points.has(path)) {
      const points = await this.#readArray(reader, path, "float32", this.nCells * dimension);
      this.#points.set(path, yDown ? negateY(points, dimension) : points);
      found.problem = ""; // whatever it was before
    }
    return this.#points.get(path);
  }

  /**
   * Reads the list of obs fields: `categorical` and `continuous`, both by key.
   *
   * @param {Reader} reader
   */
  async readFields(reader) {
    this.obsManifest = await reader.readJson("obs_manifest.json", NO_SUMMARIES);
    this.categorical = byKey(this.obsManifest._categoricalFields);
    this.continuous = byKey(this.obsManifest._continuousFields);
  }

  /**
   * Reads the list of `genes`, by name.
   *
   * @param {Reader} reader
   */
  async readGenes(reader) {
    const ignoreNotFound = (/** @type {LoadError} */ error) => {
      if (error.status !== 404) throw error; // 404: the export has no gene expression
    };
    const hasGenes = this.identity.stats.n_genes !== 0;
    this.varManifest =
      hasGenes && (await reader.readJson("var_manifest.json").catch(ignoreNotFound));
    this.genes = byKey(this.varManifest?.fields);
    this.geneNames = new GeneNames([...this.genes.keys()], this.varManifest?._symbols?.names ?? []);
  }

  /** @param {string} columnId */
  hasColumn(columnId) {
    const [kind, key] = splitColumnId(columnId);
    if (kind === "gene") return this.genes.has(key);
    if (kind === "obs") return this.categorical.has(key) || this.continuous.has(key);
    return columnId === "";
  }

  /**
   * Column of all cells.
   *
   * @param {Reader} reader
   * @param {string} columnId
   */
  async readColumn(reader, columnId) {
    const [kind, key] = splitColumnId(columnId);
    const categorical = kind === "obs" && this.categorical.get(key);
    if (categorical) return this.#readCategorical(reader, categorical);
    return kind === "gene"
      ? this.#readContinuous(
        reader, this.varManifest._varSchema, this.genes.get(key), this.geneNames.describe(key))
      : this.#readContinuous(
        reader, this.obsManifest._obsSchemas.continuous, this.continuous.get(key));
  }

  /**
   * @param {Reader} reader
   * @param {any[]} field of the manifest
   */
  async #readCategorical(reader, [key, names, dtype, missingCode]) {
    const pattern = this.obsManifest._obsSchemas.categorical.codesPathPattern;
    const path = pattern.replace("{key}", fileNameOfKey(key)).replace("{ext}", EXTENSIONS[dtype]);
    const codes = await this.#readArray(reader, path, dtype, this.nCells);
    const fileColors = this.obsManifest._categoryColors?.[key];
    return new CategoricalColumn(key, names, codes, missingCode, fileColors);
  }

  /**
   * @param {Reader} reader
   * @param {Record<string, any>} schema
   * @param {any[]} field of the manifest
   * @param {string} [name]
   */
  async #readContinuous(
    reader, { pathPattern, dtype, quantized }, [key, lo, hi], name = key,
  ) {
    const path = pathPattern.replace("{key}", fileNameOfKey(key));
    const codes = await this.#readArray(reader, path, dtype, this.nCells);
    return quantized
      ? ContinuousColumn.fromCodes(name, codes, MAX_CODE[dtype], lo, hi)
      : ContinuousColumn.fromFloats(name, codes);
  }

  /**
   * Into how many steps the range of a column is divided, if its values are quantized; else 0.
   *
   * @param {string} columnId
   */
  countSteps(columnId) {
    const [kind, key] = splitColumnId(columnId);
    const isContinuous = kind === "obs" && this.continuous.has(key);
    const schema = kind === "gene" ? this.varManifest?._varSchema
      : isContinuous && this.obsManifest._obsSchemas.continuous;
    return schema?.quantized ? MAX_CODE[schema.dtype] : 0;
  }

  /** Whether there are outlier quantiles: older exports have none. */
  get hasOutliers() {
    return Boolean(this.obsManifest._obsSchemas.categorical.outlierPathPattern);
  }

  /**
   * Outlier quantiles of a categorical field.
   *
   * @param {Reader} reader
   * @param {string} key
   */
  async readOutliers(reader, key) {
    const { outlierPathPattern: pattern, outlierDtype: dtype, outlierQuantized: quantized } =
      this.obsManifest._obsSchemas.categorical;
    const path = pattern.replace("{key}", fileNameOfKey(key));
    const codes = await this.#readArray(reader, path, dtype, this.nCells);
    if (!quantized) return new OutlierQuantiles(codes, { lo: 0, step: 0, missingCode: 2 });
    const maxCode = MAX_CODE[dtype];
    const [lo, hi] = await this.#readOutlierRange(reader, key);
    const decoding = { lo, step: (hi - lo) / maxCode, missingCode: maxCode + 1 };
    return new OutlierQuantiles(codes, decoding);
  }

  /**
   * Range of the outlier quantiles of a categorical field, which quantized live data has apart.
   *
   * @param {Reader} reader
   * @param {string} key
   */
  async #readOutlierRange(reader, key) {
    const range = this.categorical.get(key).slice(5);
    if (range.length) return range;
    const query = `summaries=${encodeURIComponent(key)}`;
    const manifest = await reader.readJson("obs_manifest.json", query);
    return byKey(manifest._categoricalFields).get(key).slice(5);
  }

  /**
   * (n_cells, d) float32 vectors of a vector field, in units of the default embedding.
   *
   * @param {Reader} reader
   * @param {string} field
   * @param {number} d
   */
  async readVectors(reader, field, d) {
    const path = this.vectorFields[field].files[`${d}d`];
    const vectors = await this.#readArray(reader, path, "float32", this.nCells * d);
    return this.findEmbedding("", d)?.yDown ? negateY(vectors, d) : vectors;
  }

  /**
   * Cell indices [source, destination, ...]; an even sample if there are more than `maxEdges`.
   *
   * @param {Reader} reader
   * @param {number} maxEdges
   */
  async readEdges(reader, maxEdges) {
    const manifest = await reader.readJson("connectivity_manifest.json");
    const { index_dtype: dtype, sourcesPath, destinationsPath } = manifest;
    const n = this.nEdges ??= manifest.n_edges; // live data say it here, an export in its identity
    const [sources, destinations] = await Promise.all(
      [sourcesPath, destinationsPath].map((path) => this.#readArray(reader, path, dtype, n)));
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
