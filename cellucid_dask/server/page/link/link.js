// The whole view as text for the end of a link, and back. Links are shared and kept: the names of
// the parts never change.

import { COLORMAP_NAMES } from "../color/colormaps.js";
import { formatValue } from "../data/value-text.js";
import { cutMiddle } from "../dom.js";
import { formatEditedColors, parseEditedColors } from "./edited-colors.js";
import { describeGroup, formatFilter, formatGroup, parseFilter, parseGroup } from "./expression-text.js";
import {
  formatLasso, parseBetween, parseCodes, parseFinite, parseLasso, parseViewpoint,
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
/**
 * A link by hand may have any number: [part, the most, what they are].
 *
 * @type {["filters" | "groups" | "pins", number, string][]}
 */
const LIMITS = [
  ["filters", 200, "filters"], ["groups", 500, "groups"], ["pins", MAX_PINS, "pinned columns"],
];
const MAX_QUOTED = 40; // characters of a part in a message
const UNREADABLE = "is damaged and cannot be read";

/**
 * Rounds to 10 digits, so that the edges and arrows of a viewpoint fall on the same pixels.
 *
 * @param {number} x
 */
const round10 = (x) => Number(x.toPrecision(10));

/** @type {(text: string) => boolean | null} */
const parseFlag = (text) => (/^[01]$/.test(text) ? text === "1" : null);
const FLAG_RULE = "must be on (1) or off (0)";

/**
 * Parts with one value: [format, parse, rule]; `parse` returns null for what cannot be used, which
 * breaks the rule. A part without a rule may have any value.
 *
 * @type {Record<string, [(value: any) => string | number, (text: string) => any, string?]>}
 */
const PARTS = {
  dataset: [String, String],
  d: [String, (text) => (/^[123]$/.test(text) ? Number(text) : null),
    "The number of dimensions must be 1, 2 or 3"],
  embedding: [String, String],
  color: [String, String],
  range: [(ends) => ends.map((/** @type {number} */ end) =>
    formatValue(end, (ends[1] - ends[0]) / 1e5)).join(), (text) => {
    const ends = parseFinite(text, 2);
    return ends && ends[0] < ends[1] ? ends : null;
  }, "The color scale must be two numbers, the lower one first"],
  log: [Number, parseFlag, `The logarithmic color scale ${FLAG_RULE}`],
  map: [String, (text) => (COLORMAP_NAMES.includes(text) ? text : null),
    "The colormap must be one that the page lists"],
  labels: [Number, parseFlag, `The category labels ${FLAG_RULE}`],
  labelColumn: [String, String],
  vectors: [String, String],
  edges: [Number, parseFlag, `The neighbor edges ${FLAG_RULE}`],
  size: [String, (text) => parseBetween(text, 0.5, 15), "The point size must be 0.5 to 15"],
  opacity: [String, (text) => parseBetween(text, 0.05, 1), "The opacity must be 0.05 to 1"],
  theme: [String, (text) => (["light", "dark"].includes(text) ? text : null),
    "The theme must be light or dark"],
  at: [(viewpoint) => viewpoint.map(round10).join(), parseViewpoint,
    "The viewpoint must be a place and a zoom"],
  context: [String, (text) => (["grey", "hide"].includes(text) ? text : null),
    "Filtered cells must be grey or hide"],
};

/**
 * Parts with any number of values, by the name in the link.
 *
 * @type {Record<string, {part: "lasso" | "filters" | "groups" | "pins",
 *   format: (value: any) => string, parse: (text: string) => any,
 *   describe: (text: string) => string}>} `describe` says what a text is that cannot be parsed
 */
const LISTS = {
  lasso: { part: "lasso", format: formatLasso, parse: parseLasso,
    describe: () => "An outline of the selection" },
  filter: { part: "filters", format: formatFilter, parse: parseFilter,
    describe: (text) => `A filter${ofColumn(text)}` },
  group: { part: "groups", format: formatGroup, parse: parseGroup, describe: describeGroup },
  pin: { part: "pins", format: String, describe: (text) => `The pinned column ${quote(text)}`,
    parse: (text) => (/^(obs|gene):/.test(text) ? text : null) },
};
const OTHER_NAMES = ["colors", "hide", "outliers"];

/**
 * The parts that differ from the default view, as "d=2&color=gene:CD3E"; lists of rows are
 * only named.
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
    for (const value of view[part]) parameters.append(name, format(value));
  }
  for (const part of formatEditedColors(view.colors)) parameters.append("colors", part);
  return String(parameters).replaceAll("%3A", ":").replaceAll("%2C", ",");
}

/**
 * The view of a text; parts that are absent or not valid have their default.
 *
 * @param {string} text
 * @param {string[]} [problems] gets a line for each part that is not valid
 * @returns {View}
 */
export function parseView(text, problems = []) {
  const view = { ...DEFAULT_VIEW };
  const parameters = new URLSearchParams(text);
  for (const [name, [, parse, rule]] of Object.entries(PARTS)) {
    if (!parameters.has(name)) continue;
    const value = parse(parameters.get(name));
    if (value !== null) Reflect.set(view, name, value);
    else problems.push(`${rule}, not ${quote(parameters.get(name))}.`);
  }
  for (const [name, { part, parse, describe }] of Object.entries(LISTS)) {
    view[part] = /** @type {any[]} */ (parameters.getAll(name).flatMap((/** @type {string} */ each) => {
      const value = parse(each);
      if (value === null) problems.push(`${describe(each)} ${UNREADABLE}.`);
      return value === null ? [] : [value];
    }));
  }
  view.filters = [...parseOldFilters(parameters, problems), ...view.filters];
  if (parameters.has("hide") || parameters.has("outliers")) view.context = "hide";
  view.groups = view.groups
    .filter(({ id }, i, groups) => groups.findIndex((group) => group.id === id) === i);
  view.pins = [...new Set(view.pins)];
  cutLists(view, problems);
  view.colors = parseEditedColors(parameters.getAll("colors"), (part) =>
    problems.push(`A change of colors${ofColumn(part)} ${UNREADABLE}.`));
  const isKnown = (/** @type {string} */ name) =>
    [PARTS, LISTS].some((names) => Object.hasOwn(names, name)) || OTHER_NAMES.includes(name);
  for (const name of new Set(parameters.keys())) {
    if (!isKnown(name)) problems.push(`This version of the page does not know the part ${quote(name)}.`);
  }
  return view;
}

/**
 * " of "cell_type"", as far as the text of a filter or of colors names a column.
 *
 * @param {string} text
 */
function ofColumn(text) {
  const [, key] = /:(?:obs|gene):(.+)$/s.exec(text) ?? [];
  return key ? ` of ${quote(key)}` : "";
}

/** @param {string} text */
const quote = (text) => `"${cutMiddle(text, MAX_QUOTED)}"`;

/**
 * Shortens lists that are longer than the page can show.
 *
 * @param {View} view changes
 * @param {string[]} problems
 */
function cutLists(view, problems) {
  for (const [part, max, nouns] of LIMITS) {
    const { length } = view[part];
    if (length <= max) continue;
    problems.push(`The link has ${length} ${nouns}; the page shows the first ${max}.`);
    view[part] = /** @type {any[]} */ (view[part].slice(0, max));
  }
}

/**
 * Filters of the column that colors the cells, which is "" until it is known: older links have
 * only those, and hide what they filter out.
 *
 * @param {URLSearchParams} parameters
 * @param {string[]} problems
 * @returns {import("../ask/filters.js").Filter[]}
 */
function parseOldFilters(parameters, problems) {
  const [hide, outliers] = ["hide", "outliers"].map((name) => parameters.get(name) ?? "");
  const codes = parseCodes(hide);
  if (codes === null) problems.push(`The list of hidden categories ${UNREADABLE}.`);
  const quantile = outliers ? parseBetween(outliers, 0, 1) : 1;
  if (quantile === null) problems.push(`The outliers must be 0 to 1, not ${quote(outliers)}.`);
  /** @type {import("../ask/filters.js").Filter[]} */
  const filters = [];
  if (codes?.length) filters.push({ kind: "categories", column: "", codes, keep: false, on: true });
  if (quantile !== null && quantile < 1) filters.push({ kind: "outliers", column: "", quantile, on: true });
  return filters;
}
