// A row of the legend: the color of a category, its name, and how many of its cells are visible.

import { changeView } from "../actions.js";
import { categoryRgb } from "../color/palette.js";
import { cssColor, formatHex } from "../color/rgb.js";
import {
  createButton, createElement, createName, cutMiddle, formatCount, formatCountOf, formatShare,
  measureText, showName,
} from "../dom.js";
import { view } from "../state.js";
import { createSwatch } from "./swatch.js";

/**
 * @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn
 * @typedef {import("./category-order.js").Category} Category
 */

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const MAX_PLAIN = 9999; // a larger total is rounded: the row is narrow

/**
 * @param {CategoricalColumn} column
 * @param {Category} category
 * @param {{ toggle: (code: number) => void, showOnly: (code: number) => void }} actions
 * @returns {HTMLElement} a list item
 */
export function createCategoryRow(column, category, { toggle, showOnly }) {
  const { code } = category;
  const name = showName(category.name);
  const entry = createButton("entry", name,
    (/** @type {MouseEvent} */ event) => (event.shiftKey ? showOnly(code) : toggle(code)),
    createName("text", category.name), createElement("span", "number"),
    createElement("span", "share"));
  entry.setAttribute("aria-keyshortcuts", "Shift+Enter");
  const title = `Show only ${name}; click again to show all`;
  const onlyButton = createButton("only", title, () => showOnly(code), "only");
  onlyButton.tabIndex = -1; // Shift+Enter on the entry does the same
  return createElement("li", "", createColorInput(column, name, code), entry, onlyButton);
}

/**
 * Shows what changes while a row is there: whether its cells are hidden, how many are visible, and
 * its color.
 *
 * @param {Element} row
 * @param {CategoricalColumn} column
 * @param {Category} category
 * @param {{ isHidden: boolean, count: number, total: number }} state
 *   count of its visible cells, total of all visible cells
 */
export function updateCategoryRow(row, column, { code, cellCount }, state) {
  const { isHidden, count, total } = state;
  const entry = row.querySelector(".entry");
  entry.ariaPressed = String(!isHidden);
  entry.classList.toggle("empty", !count);
  const [, number, share] = entry.children;
  showCount(number, count, cellCount);
  share.textContent = formatShare(count, total);
  Object.assign(share, { title: `of ${formatCountOf(total, "visible cell")}` });
  const input = row.querySelector("input");
  if (input) paint(input, column, code);
}

/**
 * Writes how many cells of a category are visible: "395 of 609", or "609" if all are.
 *
 * @param {Element} element
 * @param {number} count
 * @param {number} total
 */
export function showCount(element, count, total) {
  const ofAll = total <= MAX_PLAIN ? formatCount(total) : compact.format(total);
  element.replaceChildren(formatCount(count),
    ...(count < total ? [createElement("small", "", ` of ${ofAll}`)] : []));
  const title = `${formatCount(count)} of ${formatCountOf(total, "cell")} visible`;
  Object.assign(element, { title });
}

/**
 * Leaves out the middle of the names for which there is no room; they are whole in the tooltip.
 *
 * @param {Iterable<[Element, Category]>} rows
 */
export function fitNames(rows) {
  const texts = [...rows].map(([row, { name }]) => ({ name: showName(name), element: row.querySelector(".text") }));
  for (const { name, element } of texts) element.textContent = name;
  const long = texts.filter(({ element }) => element.scrollWidth > element.clientWidth)
    .map(({ name, element }) => ({ name, element, width: element.clientWidth }));
  if (!long.length) return;
  const { font } = getComputedStyle(long[0].element);
  for (const { name, element, width } of long) element.textContent = cutToWidth(name, width, font);
}

/**
 * @param {string} name
 * @param {number} width CSS pixels
 * @param {string} font
 */
function cutToWidth(name, width, font) {
  let [fits, tooLong] = [2, name.length];
  while (tooLong - fits > 1) {
    const middle = (fits + tooLong) >> 1;
    if (measureText(cutMiddle(name, middle), font) <= width) fits = middle;
    else tooLong = middle;
  }
  return cutMiddle(name, fits);
}

/**
 * The swatch of a category as an input with which the user changes its color. Missing cells have a
 * plain one, and groups, whose colors are changed where they are listed.
 *
 * @param {CategoricalColumn} column
 * @param {string} name
 * @param {number} code
 */
function createColorInput(column, name, code) {
  if (code === column.missingCode || !column.id.startsWith("obs:")) {
    return createSwatch(column, code);
  }
  const input = Object.assign(createElement("input", "swatch"), {
    type: "color", title: `Change the color of ${name}`, tabIndex: -1,
  });
  input.setAttribute("aria-label", `Color of ${name}`);
  input.addEventListener("input", () => {
    const edited = { ...view.colors[column.id], [code]: input.value };
    changeView({ colors: { ...view.colors, [column.id]: edited } });
  });
  return input;
}

/**
 * @param {HTMLInputElement} input
 * @param {CategoricalColumn} column
 * @param {number} code
 */
function paint(input, column, code) {
  const rgb = categoryRgb(column, code, view.colors);
  input.value = formatHex(rgb);
  input.style.backgroundColor = cssColor(rgb);
}
