// Filters and groups as text for a link, and back.
//
// "in:0-3,7:obs:cell_type", "out:...", "range:1.5,:gene:CD3E", "outliers:0.9:obs:cell_type",
// "inside:OUTLINE|OUTLINE", "outside:...", "group:g1", "not-group:g1"; "-" before a filter that is
// off. A group is a JSON array of id, name, color and cells; the cells are the text of a filter, or
// an array of "all", "any" or "not" and such, or of "rows" and the name of a list.

import { findRows, nameOfRows } from "./kept-rows.js";
import { formatCodes, formatLasso, parseBetween, parseCodes, parseLasso } from "./parts.js";

/** @typedef {import("../ask/filters.js").Filter} Filter */
/** @typedef {import("../ask/groups.js").Expression} Expression */
/** @typedef {import("../ask/groups.js").Group} Group */

const MAX_DEPTH = 100; // of expressions in each other; a link by hand may have any

/**
 * @param {Filter} filter
 * @returns {string}
 */
export function formatFilter(filter) {
  /** @type {(filter: any) => string} */
  const format = FORMATS[filter.kind];
  return (filter.on ? "" : "-") + format(filter);
}

const formatLimit = (/** @type {number | null} */ limit) =>
  (limit === null ? "" : String(limit));

/** @type {{[Kind in Filter["kind"]]: (filter: Extract<Filter, {kind: Kind}>) => string}} */
const FORMATS = {
  categories: ({ column, codes, keep }) => `${keep ? "in" : "out"}:${formatCodes(codes)}:${column}`,
  range: ({ column, from, to }) => `range:${formatLimit(from)},${formatLimit(to)}:${column}`,
  outliers: ({ column, quantile }) => `outliers:${quantile}:${column}`,
  selection: ({ lassos, keep }) =>
    `${keep ? "inside" : "outside"}:${lassos.map(formatLasso).join("|")}`,
  group: ({ group, keep }) => `${keep ? "group" : "not-group"}:${group}`,
};

/**
 * The filter of a text; null if it is not one.
 *
 * @param {string} text
 * @returns {Filter | null}
 */
export function parseFilter(text) {
  const on = !text.startsWith("-");
  const [, word, rest] = /^-?([a-z-]+):(.*)$/s.exec(text) ?? [];
  if (!Object.hasOwn(PARSERS, word ?? "")) return null;
  const filter = PARSERS[word](rest, word);
  return filter && { ...filter, on };
}

/**
 * @typedef {Omit<Extract<Filter, {kind: "categories"}>, "on">
 *   | Omit<Extract<Filter, {kind: "range"}>, "on"> | Omit<Extract<Filter, {kind: "outliers"}>, "on">
 *   | Omit<Extract<Filter, {kind: "selection"}>, "on">
 *   | Omit<Extract<Filter, {kind: "group"}>, "on">} FilterOfText
 * @typedef {(text: string, word: string) => FilterOfText | null} Parser
 */

/** @type {(text: string) => string[]} ["0-3", "obs:cell_type"] of "0-3:obs:cell_type"; the column is "" or begins with its kind. */
function splitColumn(text) {
  const colon = text.indexOf(":");
  const column = text.slice(colon + 1);
  return colon >= 0 && /^((obs|gene):|$)/.test(column) ? [text.slice(0, colon), column] : [];
}

/** @type {Parser} */
function parseCategories(text, word) {
  const [list, column] = splitColumn(text);
  const codes = column === undefined ? null : parseCodes(list);
  return codes && { kind: "categories", column, codes, keep: word === "in" };
}

/** @type {Parser} */
function parseSelection(text, word) {
  const lassos = text.split("|").map(parseLasso);
  if (lassos.includes(null)) return null;
  return { kind: "selection", lassos, keep: word === "inside" };
}

/** @type {Parser} */
const parseGroupName = (text, word) =>
  (text ? { kind: "group", group: text, keep: word === "group" } : null);

/** @type {Record<string, Parser>} */
const PARSERS = {
  in: parseCategories,
  out: parseCategories,
  range: (text) => {
    const [limits, column] = splitColumn(text);
    const texts = limits?.split(",");
    if (!column || texts.length !== 2) return null;
    const [from, to] = texts.map((limit) => (limit ? Number(limit) : null));
    const isUsable = [from, to].every((limit) => limit === null || Number.isFinite(limit))
      && (from !== null || to !== null) && (from ?? -Infinity) <= (to ?? Infinity);
    return isUsable ? { kind: "range", column, from, to } : null;
  },
  outliers: (text) => {
    const [number, column] = splitColumn(text);
    const quantile = column === undefined ? null : parseBetween(number, 0, 1);
    return quantile === null ? null : { kind: "outliers", column, quantile };
  },
  inside: parseSelection,
  outside: parseSelection,
  group: parseGroupName,
  "not-group": parseGroupName,
};

/**
 * @param {Group} group
 * @returns {string}
 */
export const formatGroup = ({ id, name, color, cells }) =>
  JSON.stringify([id, name, color, toJson(cells)]);

/**
 * @param {Expression} cells
 * @returns {any}
 */
function toJson(cells) {
  if ("not" in cells) return ["not", toJson(cells.not)];
  if ("all" in cells) return ["all", ...cells.all.map(toJson)];
  if ("any" in cells) return ["any", ...cells.any.map(toJson)];
  if ("rows" in cells) return ["rows", nameOfRows(cells)];
  return formatFilter(cells);
}

/**
 * The group of a text; null if it is not one.
 *
 * @param {string} text
 * @returns {Group | null}
 */
export function parseGroup(text) {
  try {
    const [id, name, color, json] = JSON.parse(text);
    const cells = fromJson(json, 0);
    const isUsable = cells && [id, name, color].every((part) => typeof part === "string")
      && /^g\d{1,6}$/.test(id) && /^#[0-9a-f]{6}$/.test(color);
    return isUsable ? { id, name, color, cells } : null;
  } catch {
    return null;
  }
}

/**
 * What to call a group of which the text is not one.
 *
 * @param {string} text
 */
export function describeGroup(text) {
  const [, json] = /^\["[^"]*",("(?:[^"\\]|\\.)+")/s.exec(text) ?? [];
  try {
    return `The group "${JSON.parse(json)}"`;
  } catch {
    return "A group";
  }
}

/**
 * The expression of `toJson`; null if it is not one.
 *
 * @param {unknown} json
 * @param {number} depth
 * @returns {Expression | null}
 */
function fromJson(json, depth) {
  if (typeof json === "string") {
    const filter = parseFilter(json);
    return filter?.kind === "group" ? null : filter; // else a group could be in itself
  }
  if (!Array.isArray(json) || depth > MAX_DEPTH) return null;
  const [word, ...parts] = json;
  if (word === "rows") return /^\w*$/.test(parts.join(" ")) ? findRows(parts[0]) : null;
  const cells = parts.map((part) => fromJson(part, depth + 1));
  if (cells.includes(null)) return null;
  if (word === "not") return cells.length === 1 ? { not: cells[0] } : null;
  if (word === "all") return { all: cells };
  return word === "any" ? { any: cells } : null;
}
