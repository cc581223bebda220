// Ids of the cells, such as barcodes: read in blocks, so that one id takes one small request.

import { CHECK_EXPORT, LoadError } from "./reader.js";

/** @typedef {import("./reader.js").Reader} Reader */
/** @typedef {{blockSize: number, path?: string, offsets?: number[], pathPattern?: string}} Index */

const KEPT_BLOCKS = 64; // of those that were read last

/**
 * The ids in the bytes of a block, which are a gzip member in a compressed file; null if damaged.
 *
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {boolean} isCompressed
 * @returns {Promise<unknown>}
 */
async function decodeBlock(bytes, isCompressed) {
  const stream = new Blob([bytes]).stream();
  const plain = isCompressed ? stream.pipeThrough(new DecompressionStream("gzip")) : stream;
  try {
    return await new Response(plain).json();
  } catch {
    return null;
  }
}

/** The ids of the cells of a dataset. */
export class CellIds {
  /** @type {Index | null} */
  #index;
  #dataset;
  /** @type {Map<number, Promise<string[]>>} the block that was asked for last is the last one */
  #blocks = new Map();

  /**
   * @param {{nCells: number, obsManifest: {_index?: Index},
   *   checkVersion: (reader: Reader, path: string) => Promise<void>}} dataset whose fields were read
   */
  constructor(dataset) {
    this.#index = dataset.obsManifest._index ?? null;
    this.#dataset = dataset;
  }

  /** Whether the dataset has ids: exports made with --no-cell-ids, and older ones, have none. */
  get areKnown() {
    return this.#index !== null;
  }

  /**
   * Id of cell `i`; null if the dataset has no ids.
   *
   * @param {Reader} reader
   * @param {number} i
   * @returns {Promise<string | null>}
   */
  async read(reader, i) {
    if (!this.#index) return null;
    const block = await this.#readBlock(reader, Math.floor(i / this.#index.blockSize));
    return block[i % this.#index.blockSize];
  }

  /**
   * Ids of the cells `from` to `to`, the one after the last; null if the dataset has no ids.
   *
   * @param {Reader} reader
   * @param {number} from
   * @param {number} to
   * @returns {Promise<string[] | null>}
   */
  async readRange(reader, from, to) {
    if (!this.#index) return null;
    const { blockSize } = this.#index;
    const first = Math.floor(from / blockSize);
    const blocks = await this.#fetchBlocks(reader, first, Math.ceil(to / blockSize));
    const start = first * blockSize;
    return blocks.flat().slice(from - start, to - start);
  }

  /**
   * @param {Reader} reader
   * @param {number} number
   * @returns {Promise<string[]>}
   */
  #readBlock(reader, number) {
    const known = this.#blocks.get(number);
    const block = known ?? this.#fetchBlocks(reader, number, number + 1).then(([ids]) => ids);
    this.#blocks.delete(number);
    this.#blocks.set(number, block);
    if (!known) {
      block.catch(() => { // another reader may succeed
        if (this.#blocks.get(number) === block) this.#blocks.delete(number);
      });
    }
    if (this.#blocks.size > KEPT_BLOCKS) this.#blocks.delete(this.#blocks.keys().next().value);
    return block;
  }

  /**
   * Blocks `first` to `last`, the one after the last.
   *
   * @param {Reader} reader
   * @param {number} first
   * @param {number} last
   * @returns {Promise<string[][]>}
   */
  async #fetchBlocks(reader, first, last) {
    const blocks = await this.#readBlocks(reader, first, last);
    await this.#dataset.checkVersion(reader, this.#index.path ?? this.#index.pathPattern);
    return blocks;
  }

  /**
   * The same, of whatever data the server has by now.
   *
   * @param {Reader} reader
   * @param {number} first
   * @param {number} last
   * @returns {Promise<string[][]>}
   */
  async #readBlocks(reader, first, last) {
    const { path, offsets, pathPattern } = this.#index;
    const numbers = Array.from({ length: last - first }, (_, k) => first + k);
    if (pathPattern) { // live data
      return Promise.all(numbers.map(async (number) => {
        const blockPath = pathPattern.replace("{block}", String(number));
        return this.#checkBlock(blockPath, number, await reader.readJson(blockPath));
      }));
    }
    const bytes = await reader.readPart(path, offsets[first], offsets[last]);
    return Promise.all(numbers.map(async (number) => {
      const [start, stop] = [offsets[number], offsets[number + 1]].map((at) => at - offsets[first]);
      const ids = await decodeBlock(bytes.subarray(start, stop), path.endsWith(".gz"));
      return this.#checkBlock(path, number, ids);
    }));
  }

  /**
   * The ids of a block, if they are as many as it must have.
   *
   * @param {string} path
   * @param {number} number
   * @param {unknown} ids
   * @returns {string[]}
   */
  #checkBlock(path, number, ids) {
    const { blockSize } = this.#index;
    const length = Math.min(blockSize, this.#dataset.nCells - number * blockSize);
    if (Array.isArray(ids) && ids.length === length) return ids;
    throw new LoadError(path, 0, `block ${number} is damaged; ${CHECK_EXPORT}`);
  }
}
