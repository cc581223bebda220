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
/** In place of the id of a group in a filter: all groups. */
export const ANY_GROUP = "any";

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
  const cells = cellsOfGroup(filter.group, groups);
  return filter.keep ? cells : { not: cells };
}

/**
 * The cells of a group, or with ANY_GROUP of all groups; none for an id without a group.
 *
 * @param {string} id
 * @param {Group[]} groups
 * @returns {Expression}
 */
export function cellsOfGroup(id, groups) {
  if (id === ANY_GROUP) return { any: groups.map(({ cells }) => cells) };
  return groups.find((group) => group.id === id)?.cells ?? { any: [] };
}

/**
 * The codes of the column of the groups that filters by group hide.
 *
 * @param {Filter[]} filters
 * @param {Group[]} groups
 * @param {number} noGroup code of cells in no group
 * @returns {Set<number>}
 */
export function hiddenGroups(filters, groups, noGroup) {
  const codes = [...groups.keys(), noGroup];
  const hidden = new Set();
  for (const filter of filters) {
    if (filter.kind !== "group" || !filter.on) continue;
    const isOf = (/** @type {number} */ code) => code !== noGroup
      && (filter.group === ANY_GROUP || groups[code].id === filter.group);
    codes.forEach((code) => isOf(code) !== filter.keep && hidden.add(code));
  }
  return hidden;
}

/**
 * Hides exactly these codes of the column of the groups, with filters by group; those that are off
 * stay as they are.
 *
 * @param {Filter[]} filters
 * @param {Group[]} groups
 * @param {number} noGroup code of cells in no group
 * @param {Set<number>} hidden
 * @returns {Filter[]}
 */
export function setHiddenGroups(filters, groups, noGroup, hidden) {
  const isOn = (/** @type {Filter} */ filter) => filter.kind === "group" && filter.on;
  const others = filters.filter((filter) => !isOn(filter));
  const shown = [...groups.keys()].filter((code) => !hidden.has(code));
  /** @type {(group: string, keep: boolean) => Filter} */
  const create = (group, keep) => ({ kind: "group", group, keep, on: true });
  const hidAny = filters.some((filter) => isOn(filter) && "keep" in filter && !filter.keep);
  if (hidden.has(noGroup) && shown.length === 1 && !hidAny) { // as by "only"
    return [...others, create(groups[shown[0]].id, true)];
  }
  const hides = groups.filter((_, code) => hidden.has(code)).map(({ id }) => create(id, false));
  return [...others, ...hides, ...(hidden.has(noGroup) ? [create(ANY_GROUP, true)] : [])];
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

// A group that is extended many times stays flat: a link has a limit to how deep it can be.
/** @type {SetOperation} The cells of `a` or `b`. */
export const unite = (a, b) => ({ any: [..."any" in a ? a.any : [a], b] });
/** @type {SetOperation} The cells of both. */
export const intersect = (a, b) => ({ all: [..."all" in a ? a.all : [a], b] });
/** @type {SetOperation} The cells of `a` that are not of `b`. */
export const subtract = (a, b) => intersect(a, { not: b });
/** @type {(a: Expression) => Expression} All cells but those of `a`. */
export const invert = (a) => ("not" in a ? a.not : { not: a });

/**
 * The lists of rows in an expression, which a link cannot hold.
 *
 * @param {Expression} expression
 * @returns {{rows: [number, number][]}[]}
 */
export function listRows(expression) {
  if ("rows" in expression) return [expression];
  if ("not" in expression) return listRows(expression.not);
  if ("all" in expression) return expression.all.flatMap(listRows);
  return "any" in expression ? expression.any.flatMap(listRows) : [];
}
