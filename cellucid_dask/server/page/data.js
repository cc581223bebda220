// Reads one dataset of the server this page came from: manifests, points, fields and genes.

const ARRAYS = { float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array };
const EXTENSIONS = { uint8: "u8", uint16: "u16" };

/** A request that failed, or an answer that is not what the format says. */
export class LoadError extends Error {
  constructor(path, status, reason) {
    super(`${path}: ${[status, reason].filter(Boolean).join(" ")}`);
    Object.assign(this, { path, status });
  }
}

/** File name of a key, by the rule the exporter applies. */
function safe(key) {
  return key.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._]+|[._]+$/g, "") || "field";
}

/** Asks for files below the URL `root`; `tell(path, bytes)` hears how far it is. */
export class Reader {
  constructor(root, signal, tell) {
    Object.assign(this, { root, signal, tell });
  }

  async json(path) {
    const response = await this.#request(path);
    return this.#whole(path, "is not JSON", () => response.json());
  }

  /** The numbers of a binary file, which must be exactly `length`. */
  async array(path, dtype, length) {
    const response = await this.#request(path);
    const buffer = await this.#whole(path, "is cut short or damaged", () => {
      let body = response.body.pipeThrough(this.#counter(path));
      if (path.endsWith(".gz")) body = body.pipeThrough(new DecompressionStream("gzip"));
      return new Response(body).arrayBuffer();
    });
    const expected = length * ARRAYS[dtype].BYTES_PER_ELEMENT;
    if (buffer.byteLength === expected) return new ARRAYS[dtype](buffer);
    throw new LoadError(path, 0, `holds ${buffer.byteLength} bytes, not ${expected}`);
  }

  async #request(path) {
    this.tell(path, 0);
    const request = fetch(new URL(path, this.root), { signal: this.signal });
    const response = await this.#whole(path, "no answer from the server", () => request);
    if (response.ok) return response;
    const [line] = (await response.text().catch(() => "")).trim().split("\n");
    throw new LoadError(path, response.status, line.slice(0, 200) || response.statusText);
  }

  async #whole(path, otherwise, read) {
    try {
      return await read();
    } catch (error) {
      throw this.signal.aborted ? error : new LoadError(path, 0, otherwise);
    }
  }

  #counter(path) {
    let received = 0;
    return new TransformStream({
      transform: (chunk, controller) => {
        this.tell(path, (received += chunk.byteLength));
        controller.enqueue(chunk);
      },
    });
  }
}

/** A dataset: its identity, and the rest on demand. */
export class Dataset {
  #points = new Map();

  constructor(identity) {
    this.identity = identity;
    this.nCells = identity.stats.n_cells;
  }

  /** (n_cells, d) float32 between -1 and 1. */
  async points(reader, d) {
    if (!this.#points.has(d)) {
      const path = this.identity.embeddings.files[`${d}d`];
      this.#points.set(d, await reader.array(path, "float32", this.nCells * d));
    }
    return this.#points.get(d);
  }

  /** Reads which fields and genes there are: `categorical`, `continuous` and `genes` by key. */
  async fields(reader) {
    const optional = (error) => {
      if (error.status !== 404) throw error; // else it was exported without expression
    };
    [this.obs, this.var] = await Promise.all([
      reader.json("obs_manifest.json"),
      this.identity.stats.n_genes !== 0 && reader.json("var_manifest.json").catch(optional),
    ]);
    const byKey = (fields) => new Map((fields ?? []).map((field) => [field[0], field]));
    this.categorical = byKey(this.obs._categoricalFields);
    this.continuous = byKey(this.obs._continuousFields);
    this.genes = byKey(this.var?.fields);
  }

  /** Codes of all cells for "obs:KEY" or "gene:KEY", with what is needed to read them. */
  async colour(reader, colour) {
    const [kind, key] = split(colour);
    const categories = kind === "obs" && this.categorical.get(key);
    if (categories) return this.#categories(reader, categories);
    return kind === "gene"
      ? this.#values(reader, this.var._varSchema, this.genes.get(key))
      : this.#values(reader, this.obs._obsSchemas.continuous, this.continuous.get(key));
  }

  async #categories(reader, [key, categories, dtype, missing]) {
    const pattern = this.obs._obsSchemas.categorical.codesPathPattern;
    const path = pattern.replace("{key}", safe(key)).replace("{ext}", EXTENSIONS[dtype]);
    const codes = await reader.array(path, dtype, this.nCells);
    const counts = new Uint32Array(missing + 1);
    for (let i = 0; i < codes.length; i++) counts[codes[i]]++;
    const rows = categories.map((name, code) => ({ name, code, cells: counts[code] }));
    const rest = rows.reduce((left, { cells }) => left - cells, codes.length);
    if (rest) rows.push({ name: "missing", code: missing, cells: rest });
    return { codes, rows, missing, hidden: new Set() };
  }

  /** Codes are 0 to 254 from `lo` to `hi`, and 255 where there is no value. */
  async #values(reader, { pathPattern, dtype, quantized }, [key, min, max]) {
    const raw = await reader.array(pathPattern.replace("{key}", safe(key)), dtype, this.nCells);
    const found = quantized
      ? { codes: dtype === "uint8" ? raw : levels(raw, 0, 65534), lo: min, hi: max }
      : measured(raw);
    return { ...found, missing: found.codes.reduce((n, code) => n + (code === 255), 0) };
  }
}

/** ["obs", "cell_type"] of "obs:cell_type". */
export function split(colour) {
  const at = colour.indexOf(":");
  return [colour.slice(0, at), colour.slice(at + 1)];
}

function measured(values) {
  let [lo, hi] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) continue;
    if (values[i] < lo) lo = values[i];
    if (values[i] > hi) hi = values[i];
  }
  return { codes: levels(values, lo, hi), lo, hi };
}

/** 0 to 254 from `lo` to `hi`; 255 for what is not between them, such as NaN. */
function levels(values, lo, hi) {
  const codes = new Uint8Array(values.length).fill(255);
  const scale = hi > lo ? 254 / (hi - lo) : 0;
  for (let i = 0; i < values.length; i++) {
    if (values[i] >= lo && values[i] <= hi) codes[i] = (values[i] - lo) * scale + 0.5;
  }
  return codes;
}
