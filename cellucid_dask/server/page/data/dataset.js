// Reads one dataset of the server: manifests, points, fields, genes, edges and vectors.

import {
  countSteps, findCategories, findOutliers, findValues, hasOutliers, outlierRange,
} from "./column-files.js";
import { splitColumnId } from "./column-id.js";
import { listEmbeddings, negateY } from "./embeddings.js";
import { GeneNames } from "./gene-names.js";
import { LoadError, Reader } from "./reader.js";

/** @typedef {import("./column-files.js").CategoricalField} CategoricalField */
/** @typedef {import("./column-files.js").ValueField} ValueField */
/** @typedef {import("./embeddings.js").Embedding} Embedding */

// Asks for a manifest without what takes the server a pass over all cells: centroids, ranges of
// outlier quantiles, the number of edges. An export has them all, and sends them.
const NO_SUMMARIES = "summaries=";
const CHECK_MS = 1000; // between two looks at the identity; the server looks as often for a new export

/** @param {Reader} reader */
const readIdentity = (reader) => reader.readJson("dataset_identity.json", NO_SUMMARIES);

/** @type {<Field extends [string, ...unknown[]]>(fields: Field[] | undefined) => Map<string, Field>} */
const byKey = (fields) => new Map((fields ?? []).map((field) => [field[0], field]));

/** A dataset: its identity, and everything else on demand. */
export class Dataset {
  #points = new Map(); // by path
  /** @type {Map<string, CategoricalField>} by key */
  categorical;
  /** @type {Map<string, ValueField>} by key */
  continuous;
  /** @type {Map<string, ValueField>} by id */
  genes;
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
   * @param {Reader} reader
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
    const { path, dtype, decode } = this.#findColumn(columnId);
    return decode(await this.#readArray(reader, path, dtype, this.nCells));
  }

  /**
   * @param {string} columnId
   * @returns {import("./column-files.js").CellFile<import("./columns.js").Column>}
   */
  #findColumn(columnId) {
    const [kind, key] = splitColumnId(columnId);
    if (kind === "gene") {
      return findValues(this.varManifest._varSchema, this.genes.get(key), this.geneNames.describe(key));
    }
    const categorical = this.categorical.get(key);
    return categorical ? findCategories(this.obsManifest, categorical)
      : findValues(this.obsManifest._obsSchemas.continuous, this.continuous.get(key));
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
    return schema ? countSteps(schema) : 0;
  }

  /** Whether there are outlier quantiles: older exports have none. */
  get hasOutliers() {
    return hasOutliers(this.obsManifest);
  }

  /**
   * Outlier quantiles of a categorical field.
   *
   * @param {Reader} reader
   * @param {string} key
   */
  async readOutliers(reader, key) {
    const { path, dtype, decode } =
      findOutliers(this.obsManifest, key, () => this.#readOutlierRange(reader, key));
    return decode(await this.#readArray(reader, path, dtype, this.nCells));
  }

  /**
   * Range of the outlier quantiles of a categorical field, which quantized live data has apart.
   *
   * @param {Reader} reader
   * @param {string} key
   * @returns {Promise<[lo: number, hi: number]>}
   */
  async #readOutlierRange(reader, key) {
    const range = outlierRange(this.categorical.get(key));
    if (range.length) return range;
    const query = `summaries=${encodeURIComponent(key)}`;
    const manifest = await reader.readJson("obs_manifest.json", query);
    /** @type {CategoricalField[]} */
    const fields = manifest._categoricalFields;
    return outlierRange(fields.find(([name]) => name === key));
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
