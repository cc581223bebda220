// The whole view as text for the end of a link, and back. Links are shared and kept: the names of
// the parts never change.

import { isDescribable } from "../ask/groups.js";
import { COLORMAP_NAMES } from "../color/colormaps.js";
import { formatEditedColors, parseEditedColors } from "./edited-colors.js";
import { formatFilter, formatGroup, parseFilter, parseGroup } from "./expression-text.js";
import {
  formatLasso, parseBetween, parseCodes, parseFinite, parseLasso, parseViewpoint, round6,
} from "./parts.js";

/**
 * What the user wants to see.
 *
 * @typedef {object} View
 * @property {string | null} dataset path of the dataset; null for the first one
 * @property {number} d dimension; 0 for the default one
 * @property {string} embedding key of obsm; "" for the default one of the dimension
 * @property {string | null} color column id; "" for no column, null for the default one
 * @property {[number, number] | null} range of the color scale
 * @property {boolean} log
 * @property {string} map colormap
 * @property {boolean} labels
 * @property {string} labelColumn id of the column that labels are of while a column of values is
 *   shown; "" for none
 * @property {string} vectors
 * @property {boolean} edges
 * @property {number | null} size diameter of the cells in CSS pixels
 * @property {number} opacity
 * @property {string} theme
 * @property {number[] | null} at viewpoint; null where all cells fit
 * @property {import("../ask/filters.js").Lasso[]} lasso outlines of the selection
 * @property {import("../ask/filters.js").Filter[]} filters
 * @property {string} context how filtered cells look: "grey", or "hide"
 * @property {import("../ask/groups.js").Group[]} groups
 * @property {string[]} pins column ids whose values the tooltip shows
 * @property {Record<string, Record<string, string>>} colors of categories by column id and code,
 *   as the user changed them
 */

/** @type {Readonly<View>} The view of a link that says nothing. */
export const DEFAULT_VIEW = Object.freeze({
  dataset: null, d: 0, embedding: "", color: null, range: null, log: false, map: "viridis",
  labels: true, labelColumn: "", vectors: "", edges: false, size: null, opacity: 1, theme: "", at: null, lasso: [],
  filters: [], context: "grey", groups: [], pins: [], colors: Object.freeze({}),
});
export const MAX_PINS = 12; // each of them is loaded
const MAX_GROUPS = 500; // a link by hand may have any number
const MAX_FILTERS = 200;

/**
 * Rounds to 10 digits, so that the edges and arrows of a viewpoint fall on the same pixels.
 *
 * @param {number} x
 */
const round10 = (x) => Number(x.toPrecision(10));

/**
 * Parts with one value: [format, parse]; `parse` returns null for what cannot be used.
 *
 * @type {Record<string, [(value: any) => string | number, (text: string) => any]>}
 */
const PARTS = {
  dataset: [String, String],
  d: [String, (text) => (/^[123]$/.test(text) ? Number(text) : null)],
  embedding: [String, String],
  color: [String, String],
  range: [(ends) => ends.map(round6).join(), (text) => {
    const ends = parseFinite(text, 2);
    return ends && ends[0] < ends[1] ? ends : null;
  }],
  log: [Number, (text) => text === "1"],
  map: [String, (text) => (COLORMAP_NAMES.includes(text) ? text : null)],
  labels: [Number, (text) => text !== "0"],
  labelColumn: [String, String],
  vectors: [String, String],
  edges: [Number, (text) => text === "1"],
  size: [String, (text) => parseBetween(text, 0.5, 15)],
  opacity: [String, (text) => parseBetween(text, 0.05, 1)],
  theme: [String, (text) => (["light", "dark"].includes(text) ? text : null)],
  at: [(viewpoint) => viewpoint.map(round10).join(), parseViewpoint],
  context: [String, (text) => (text === "hide" ? text : null)],
};

/**
 * Parts with any number of values, by the name in the link.
 *
 * @type {Record<string, {part: "lasso" | "filters" | "groups" | "pins",
 *   format: (value: any) => string, parse: (text: string) => any}>}
 */
const LISTS = {
  lasso: { part: "lasso", format: formatLasso, parse: parseLasso },
  filter: { part: "filters", format: formatFilter, parse: parseFilter },
  group: { part: "groups", format: formatGroup, parse: parseGroup },
  pin: { part: "pins", format: String, parse: (text) => (/^(obs|gene):/.test(text) ? text : null) },
};

/**
 * The parts that differ from the default view, as "d=2&color=gene:CD3E"; without groups that are
 * lists of rows.
 *
 * @param {View} view
 * @returns {string}
 */
export function formatView(view) {
  const parameters = new URLSearchParams();
  for (const [name, [format]] of Object.entries(PARTS)) {
    const value = Reflect.get(view, name);
    if (value === Reflect.get(DEFAULT_VIEW, name) || value === null) continue;
    parameters.set(name, String(format(value)));
  }
  for (const [name, { part, format }] of Object.entries(LISTS)) {
    const values = part === "groups"
      ? view.groups.filter(({ cells }) => isDescribable(cells)) : view[part];
    for (const value of values) parameters.append(name, format(value));
  }
  for (const part of formatEditedColors(view.colors)) parameters.append("colors", part);
  return String(parameters).replaceAll("%3A", ":").replaceAll("%2C", ",");
}

/**
 * The view of a text; parts that are absent or not valid have their default.
 *
 * @param {string} text
 * @returns {View}
 */
export function parseView(text) {
  const view = { ...DEFAULT_VIEW };
  const parameters = new URLSearchParams(text);
  for (const [name, [, parse]] of Object.entries(PARTS)) {
    const value = parameters.has(name) ? parse(parameters.get(name)) : null;
    if (value !== null) Reflect.set(view, name, value);
  }
  for (const [name, { part, parse }] of Object.entries(LISTS)) {
    view[part] = /** @type {any[]} */ (parameters.getAll(name).map(parse).filter(Boolean));
  }
  view.filters = [...parseOldFilters(parameters), ...view.filters].slice(0, MAX_FILTERS);
  if (parameters.has("hide") || parameters.has("outliers")) view.context = "hide";
  view.groups = view.groups.slice(0, MAX_GROUPS)
    .filter(({ id }, i, groups) => groups.findIndex((group) => group.id === id) === i);
  view.pins = [...new Set(view.pins)].slice(0, MAX_PINS);
  view.colors = parseEditedColors(parameters.getAll("colors"));
  return view;
}

/**
 * Filters of the column that colors the cells, which is "" until it is known: older links have
 * only those, and hide what they filter out.
 *
 * @param {URLSearchParams} parameters
 * @returns {import("../ask/filters.js").Filter[]}
 */
function parseOldFilters(parameters) {
  const codes = parseCodes(parameters.get("hide") ?? "");
  const quantile = parseBetween(parameters.get("outliers") ?? "", 0, 1) ?? 1;
  /** @type {import("../ask/filters.js").Filter[]} */
  const filters = [];
  if (codes.length) filters.push({ kind: "categories", column: "", codes, keep: false, on: true });
  if (quantile < 1) filters.push({ kind: "outliers", column: "", quantile, on: true });
  return filters;
}
