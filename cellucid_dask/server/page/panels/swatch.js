// The dot in the color of a category, wherever a panel names one.

import { categoryCssColor } from "../color/palette.js";
import { createElement } from "../dom.js";
import { view } from "../state.js";

/**
 * A dot in the color of a category; grey for missing cells.
 *
 * @param {import("../data/columns.js").CategoricalColumn} column
 * @param {number} code
 */
export function createSwatch(column, code) {
  const dot = createElement("span", "swatch");
  dot.style.backgroundColor = categoryCssColor(column, code, view.colors) ?? "";
  return dot;
}
