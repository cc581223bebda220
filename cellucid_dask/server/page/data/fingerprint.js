// Fingerprints of the cells of a dataset: a fast one of some ids, and one of all ids.

import { CellIds } from "./cell-ids.js";

const N_SAMPLED = 64; // ids, at even steps through the rows
const PART = 1 << 17; // ids that are read at a time
const MAX_HASHED = 2_000_000; // ids; more would take too long to read

/**
 * The same for the same cells in the same order, as far as the number of cells and 64 of their ids
 * say; without ids, the number only.
 *
 * @param {import("./dataset.js").Dataset} dataset
 * @param {import("./reader.js").Reader} reader
 * @returns {Promise<string>}
 */
export async function fingerprintOfCells(dataset, reader) {
  const { nCells } = dataset;
  const ids = new CellIds(dataset);
  if (!ids.areKnown) return hashText(String(nCells));
  const n = Math.min(N_SAMPLED, nCells);
  const rows = Array.from({ length: n }, (_, i) => Math.floor((i * nCells) / n));
  const sampled = await Promise.all(rows.map((row) => ids.read(reader, row)));
  return hashText(JSON.stringify([nCells, ...sampled]));
}

/**
 * The same for the same ids in the same order; null without ids, and for so many cells that it would
 * take too long to read all ids.
 *
 * @param {import("./dataset.js").Dataset} dataset
 * @param {import("./reader.js").Reader} reader
 * @returns {Promise<string | null>}
 */
export async function hashAllIds(dataset, reader) {
  const { nCells } = dataset;
  const ids = new CellIds(dataset);
  if (!ids.areKnown || nCells > MAX_HASHED) return null;
  let [a, b] = [0x811c9dc5, 0x9e3779b9];
  const add = (/** @type {number} */ unit) => { // FNV-1a twice: BigInt would take a second for a million ids
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x85ebca6b);
  };
  for (let from = 0; from < nCells; from += PART) {
    for (const id of await ids.readRange(reader, from, Math.min(from + PART, nCells))) {
      for (let i = 0; i < id.length; i++) add(id.charCodeAt(i));
      add(-1); // between ids
    }
  }
  return [a, b].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
}

/**
 * FNV-1a of the UTF-8 bytes, 64 bits in hexadecimal digits.
 *
 * @param {string} text
 */
function hashText(text) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, "0");
}
