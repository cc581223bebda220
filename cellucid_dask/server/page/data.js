// Reads one dataset of the server: manifests, points, fields, genes, edges and vectors.

import { Categories, Outliers, Values } from "./columns.js";

const EXTENSIONS = { uint8: "u8", uint16: "u16" };
const MOST_CODES = { uint8: 254, uint16: 65534 };

/** File name of a key, by the rule the exporter applies. */
export function safe(key) {
  return key.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._]+|[._]+$/g, "") || "field";
}

/** ["obs", "cell_type"] of "obs:cell_type". */
export function split(colour) {
  const at = colour.indexOf(":");
  return [colour.slice(0, at), colour.slice(at + 1)];
}

const byKey = (fields) => new Map((fields ?? []).map((field) => [field[0], field]));

/** A dataset: its identity, and the rest on demand. */
export class Dataset {
  #points = new Map();

  constructor(identity) {
    this.identity = identity;
    this.nCells = identity.stats.n_cells;
    this.vectorFields = identity.vector_fields?.fields ?? {};
    this.nEdges = identity.stats.has_connectivity ? identity.stats.n_edges : 0;
  }

  /** (n_cells, d) float32 between -1 and 1. */
  async points(reader, d) {
    if (!this.#points.has(d)) {
      const path = this.identity.embeddings.files[`${d}d`];
      this.#points.set(d, await reader.array(path, "float32", this.nCells * d));
    }
    return this.#points.get(d);
  }

  /** Reads which fields of obs there are: `categorical` and `continuous` by key. */
  async readFields(reader) {
    this.obs = await reader.json("obs_manifest.json");
    this.categorical = byKey(this.obs._categoricalFields);
    this.continuous = byKey(this.obs._continuousFields);
  }

  /** Reads which `genes` there are, by key. */
  async readGenes(reader) {
    const optional = (error) => {
      if (error.status !== 404) throw error; // else it was exported without expression
    };
    const some = this.identity.stats.n_genes !== 0;
    this.var = some && (await reader.json("var_manifest.json").catch(optional));
    this.genes = byKey(this.var?.fields);
  }

  /** Whether there is such a field or gene; "" is no colour. */
  has(colour) {
    const [kind, key] = split(colour);
    if (kind === "gene") return this.genes.has(key);
    if (kind === "obs") return this.categorical.has(key) || this.continuous.has(key);
    return colour === "";
  }

  /** Column of all cells for "obs:KEY" or "gene:KEY". */
  async colour(reader, colour) {
    const [kind, key] = split(colour);
    const categories = kind === "obs" && this.categorical.get(key);
    if (categories) return this.#categories(reader, categories);
    return kind === "gene"
      ? this.#values(reader, this.var._varSchema, this.genes.get(key))
      : this.#values(reader, this.obs._obsSchemas.continuous, this.continuous.get(key));
  }

  async #categories(reader, [key, names, dtype, missing, centroids]) {
    const pattern = this.obs._obsSchemas.categorical.codesPathPattern;
    const path = pattern.replace("{key}", safe(key)).replace("{ext}", EXTENSIONS[dtype]);
    const codes = await reader.array(path, dtype, this.nCells);
    return new Categories(key, names, codes, missing, centroids ?? {});
  }

  async #values(reader, { pathPattern, dtype, quantized }, [key, lo, hi]) {
    const raw = await reader.array(pathPattern.replace("{key}", safe(key)), dtype, this.nCells);
    return quantized
      ? Values.quantized(key, raw, MOST_CODES[dtype], lo, hi)
      : Values.measured(key, raw);
  }

  /** Whether there are outlier quantiles: older exports have none. */
  get hasOutliers() {
    return Boolean(this.obs._obsSchemas.categorical.outlierPathPattern);
  }

  /** Outlier quantiles of a categorical field. */
  async outliers(reader, key) {
    const { outlierPathPattern: pattern, outlierDtype: dtype, outlierQuantized: quantized } =
      this.obs._obsSchemas.categorical;
    const [lo, hi] = this.categorical.get(key).slice(5);
    const codes = await reader.array(pattern.replace("{key}", safe(key)), dtype, this.nCells);
    if (!quantized) return new Outliers(codes, { lo: 0, step: 0, marker: 2 });
    const most = MOST_CODES[dtype];
    return new Outliers(codes, { lo, step: (hi - lo) / most, marker: most + 1 });
  }

  /** (n_cells, d) float32 vectors of a field, in units of the embedding. */
  vectors(reader, field, d) {
    return reader.array(this.vectorFields[field].files[`${d}d`], "float32", this.nCells * d);
  }

  /** Cells at the two ends of edges, src, dst, src, dst, ...; of more than `most`, evenly fewer. */
  async edges(reader, most) {
    const manifest = await reader.json("connectivity_manifest.json");
    const { index_dtype: dtype, sourcesPath, destinationsPath } = manifest;
    const n = this.nEdges;
    const [from, to] = await Promise.all(
      [sourcesPath, destinationsPath].map((path) => reader.array(path, dtype, n)));
    const kept = Math.min(n, most);
    const pairs = new Uint32Array(2 * kept);
    for (let i = 0; i < kept; i++) {
      const at = Math.floor((i * n) / kept);
      pairs[2 * i] = Number(from[at]);
      pairs[2 * i + 1] = Number(to[at]);
    }
    return pairs;
  }
}
