// Colors of categories: those that the user gave, else those of the file, else those of a table.

import { cssColor, parseHex } from "./rgb.js";

/**
 * @typedef {import("./rgb.js").Rgb} Rgb
 * @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn
 * @typedef {Record<string, Record<string, string>>} EditedColors
 *   "#rrggbb" by column id and code: `view.colors`
 */

// Chosen greedily: of all colors with a contrast of at least 3:1 to both the light and the dark
// ground, each is the one that differs most from those before it. The difference is CIEDE2000, and
// 1.6 times that with deuteranopia (Machado, Oliveira and Fernandes 2009, severity 1). The first ten
// are of ten families of hues, as people expect: blue, orange, green, red, violet, brown and so on.
// The first 20 were then moved, each within its hue, as long as the smallest difference grew.
// A test checks what came out: the first 10 differ by at least 15, the first 20 by 10 (8 with
// deuteranopia), all 40 by 8 (5 with deuteranopia). Two colors that differ by less than 5 are twins.
const TABLE = (
  "3b82c4 fc6000 247034 fc5c6c b080c8 947054 cc1080 58a08c 786c00 905860 " +
  "3c6874 3c44fc fc50b0 cc54fc 886498 306c60 b4847c d84c34 54949c 4460a0 " +
  "903cd4 6c886c 28a454 c448b4 7070fc b4383c b45c7c c88440 b82854 148484 " +
  "a47890 548c38 e07094 64608c 486c14 bc5000 0c98d0 cc74b4 0c68fc b410ac"
).split(" ").map(parseHex);
const HEX = /^#[0-9a-f]{6}$/i; // what a file has may be anything
const [BOTTOM, TOP] = [1, 255]; // layers of cells, the alpha bytes of a palette

/** So many categories have colors of their own; then they repeat. */
export const N_COLORS = TABLE.length;

/**
 * [r, g, b] of a category.
 *
 * @param {CategoricalColumn} column
 * @param {number} code
 * @param {EditedColors} edited
 * @returns {Rgb}
 */
export function categoryRgb(column, code, edited) {
  const given = edited[column.id]?.[code] ?? column.fileColors?.[code];
  return HEX.test(given) ? parseHex(given) : TABLE[code % N_COLORS];
}

/**
 * CSS color of a category; null if `code` is that of missing cells, whose color is of the theme.
 *
 * @param {CategoricalColumn} column
 * @param {number} code
 * @param {EditedColors} edited
 */
export const categoryCssColor = (column, code, edited) =>
  (code === column.missingCode ? null : cssColor(categoryRgb(column, code, edited)));

/**
 * RGBA bytes of every code of a column, in which the shader looks up codes; a code without a
 * category is missing. The alpha byte is the layer of the cells: 1 below all others (missing), or
 * 255.
 *
 * @param {CategoricalColumn} column
 * @param {EditedColors} edited
 * @param {Rgb} missingRgb
 */
export function categoryPalette(column, edited, missingRgb) {
  const { categories, missingCode } = column;
  const table = new Uint32Array(missingCode + 1);
  table.fill(packRgba(missingRgb, BOTTOM));
  for (const { code } of categories) {
    if (code !== missingCode) table[code] = packRgba(categoryRgb(column, code, edited), TOP);
  }
  return new Uint8Array(table.buffer);
}

/**
 * @param {Rgb} rgb
 * @param {number} alpha
 */
function packRgba([r, g, b], alpha) {
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}
