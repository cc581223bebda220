// Which categories the legend lists, and in which order.

/**
 * @typedef {{ name: string, code: number, cellCount: number }} Category
 * @typedef {"file" | "name" | "most" | "fewest"} Order
 */

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
export const MIN_FOR_SEARCH = 24; // from so many categories on there is a search box
/** @type {Record<Order, (a: Category, b: Category, counts: ArrayLike<number>) => number>} */
const COMPARE = {
  file: () => 0,
  name: (a, b) => collator.compare(a.name, b.name),
  most: (a, b, counts) => counts[b.code] - counts[a.code] || b.cellCount - a.cellCount,
  fewest: (a, b, counts) => counts[a.code] - counts[b.code] || a.cellCount - b.cellCount,
};

/**
 * The categories whose name has `text` in it; missing cells are last in every order.
 *
 * @param {Category[]} categories in the order of the file
 * @param {string} text in lower case
 * @param {Order} order
 * @param {number} missingCode
 * @param {ArrayLike<number>} counts of cells by code, for the orders by number of cells
 * @returns {Category[]}
 */
export function arrangeCategories(categories, text, order, missingCode, counts) {
  const matches = categories.filter(({ name }) => name.toLowerCase().includes(text));
  const isMissing = (/** @type {Category} */ { code }) => Number(code === missingCode);
  return matches.sort((a, b) => isMissing(a) - isMissing(b) || COMPARE[order](a, b, counts));
}

/**
 * Hides all of these codes but one; if it is the only one already, shows them again.
 *
 * @param {Set<number>} hidden changes
 * @param {number} code
 * @param {number[]} codes
 */
export function showOnly(hidden, code, codes) {
  const others = codes.filter((other) => other !== code);
  const isOnlyOne = !hidden.has(code) && others.every((other) => hidden.has(other));
  hidden.delete(code);
  for (const other of others) {
    if (isOnlyOne) hidden.delete(other);
    else hidden.add(other);
  }
}
