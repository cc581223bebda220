// Groups: named sets of cells. A group is an expression over filters, so that a link can hold it;
// only a group of a session file can be a list of rows.

/** @typedef {import("./filters.js").Filter} Filter */
/**
 * @typedef {Filter | {all: Expression[]} | {any: Expression[]} | {not: Expression}
 *   | {rows: [number, number][]}} Expression `rows` are ranges of rows, first and last
 * @typedef {{id: string, name: string, color: string, cells: Expression}} Group
 */

const COLORS = [
  "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#b38600", "#56b4e9", "#7f3c8d", "#6b7a1c",
];

/** Column id of the groups, to color the cells by. */
export const GROUP_COLUMN = "groups:";

/**
 * The expression of all filters that are on, for a group of the visible cells.
 *
 * @param {Filter[]} filters
 * @param {Group[]} groups
 * @returns {Expression}
 */
export function filtersExpression(filters, groups) {
  const on = filters.filter((filter) => filter.on);
  return { all: on.map((filter) => resolveGroups(filter, groups)) };
}

/**
 * A filter without a reference to a group: with the cells of the group instead.
 *
 * @param {Filter} filter
 * @param {Group[]} groups
 * @returns {Expression}
 */
function resolveGroups(filter, groups) {
  if (filter.kind !== "group") return filter;
  /** @type {Expression} */
  const cells = groups.find(({ id }) => id === filter.group)?.cells ?? { any: [] };
  return filter.keep ? cells : { not: cells };
}

/**
 * The expression of the cells inside any of the outlines.
 *
 * @param {import("./filters.js").Lasso[]} lassos
 * @returns {Expression}
 */
export const selectionExpression = (lassos) => ({ kind: "selection", lassos, keep: true, on: true });

/**
 * The groups with a new one; its name and color are free ones unless given.
 *
 * @param {Group[]} groups
 * @param {Expression} cells
 * @param {{name?: string, color?: string}} [look]
 * @returns {Group[]}
 */
export function addGroup(groups, cells, look = {}) {
  const id = firstFree(groups.map((group) => group.id), "g");
  const name = look.name ?? firstFree(groups.map((group) => group.name), "Group ");
  const free = COLORS.find((color) => groups.every((group) => group.color !== color));
  const color = look.color ?? free ?? COLORS[groups.length % COLORS.length];
  return [...groups, { id, name, color, cells }];
}

/**
 * The first of "g1", "g2", ... that is not taken.
 *
 * @param {string[]} taken
 * @param {string} prefix
 */
function firstFree(taken, prefix) {
  let number = 1;
  while (taken.includes(`${prefix}${number}`)) number++;
  return `${prefix}${number}`;
}

/**
 * The same groups with one changed.
 *
 * @param {Group[]} groups
 * @param {string} id
 * @param {Partial<Group>} change
 * @returns {Group[]}
 */
export const changeGroup = (groups, id, change) =>
  groups.map((group) => (group.id === id ? { ...group, ...change } : group));

/**
 * The same groups without one.
 *
 * @param {Group[]} groups
 * @param {string} id
 */
export const dropGroup = (groups, id) => groups.filter((group) => group.id !== id);

/** @typedef {(a: Expression, b: Expression) => Expression} SetOperation */

/** @type {SetOperation} The cells of `a` or `b`. */
export const unite = (a, b) => ({ any: [a, b] });
/** @type {SetOperation} The cells of both. */
export const intersect = (a, b) => ({ all: [a, b] });
/** @type {SetOperation} The cells of `a` that are not of `b`. */
export const subtract = (a, b) => ({ all: [a, { not: b }] });
/** @type {(a: Expression) => Expression} All cells but those of `a`. */
export const invert = (a) => ("not" in a ? a.not : { not: a });

/**
 * Whether a link can hold the cells: there is no list of rows among them.
 *
 * @param {Expression} expression
 * @returns {boolean}
 */
export function isDescribable(expression) {
  if ("rows" in expression) return false;
  if ("not" in expression) return isDescribable(expression.not);
  if ("all" in expression) return expression.all.every(isDescribable);
  return "any" in expression ? expression.any.every(isDescribable) : true;
}
