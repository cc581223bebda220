// A fingerprint of the cells of a dataset: the number of cells, and ids of some of them.

import { CellIds } from "./cell-ids.js";

const N_SAMPLED = 64; // ids, at even steps through the rows

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
