// Which categories the legend lists, in which order, and the numbers beside them.

/**
 * @typedef {{ name: string, code: number, cellCount: number }} Category
 * @typedef {"file" | "name" | "most" | "fewest"} Order
 */

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const COMPARE = {
  file: () => 0,
  name: (/** @type {Category} */ a, /** @type {Category} */ b) => collator.compare(a.name, b.name),
  most: (/** @type {Category} */ a, /** @type {Category} */ b) => b.cellCount - a.cellCount,
  fewest: (/** @type {Category} */ a, /** @type {Category} */ b) => a.cellCount - b.cellCount,
};

/**
 * The categories whose name has `text` in it; missing cells are last in every order.
 *
 * @param {Category[]} categories in the order of the file
 * @param {string} text in lower case
 * @param {Order} order
 * @param {number} missingCode
 * @returns {Category[]}
 */
export function arrangeCategories(categories, text, order, missingCode) {
  const matches = categories.filter(({ name }) => name.toLowerCase().includes(text));
  const isMissing = (/** @type {Category} */ { code }) => Number(code === missingCode);
  return matches.sort((a, b) => isMissing(a) - isMissing(b) || COMPARE[order](a, b));
}

/**
 * Number of visible cells of each code.
 *
 * @param {import("../data/columns.js").Codes} codes
 * @param {number} missingCode
 * @param {Uint8Array | null} visible null if all cells are
 */
export function countVisible(codes, missingCode, visible) {
  const counts = new Uint32Array(missingCode + 1);
  for (let i = 0; i < codes.length; i++) if (!visible || visible[i]) counts[codes[i]]++;
  return counts;
}
