// How many cells have which code.

/**
 * Number of cells of each integer code.
 *
 * @param {import("./columns.js").Codes} codes 0 to `missingCode`
 * @param {number} missingCode
 * @param {Uint8Array | null} mask a byte per cell, 1 to count it; null for all cells
 */
export function countCodes(codes, missingCode, mask) {
  const counts = new Uint32Array(missingCode + 1);
  for (let i = 0; i < codes.length; i++) if (!mask || mask[i]) counts[codes[i]]++;
  return counts;
}
