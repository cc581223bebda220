// What a filter says, in words.

import { splitColumnId } from "../data/column-id.js";
import { nameMissing } from "../data/columns.js";
import { formatCount, showName } from "../dom.js";
import { ANY_GROUP, GROUP_COLUMN } from "./groups.js";

const MAX_NAMES = 3; // of categories in the text of a filter

/**
 * Name of a column for people: its key, or the symbol of a gene if there is one.
 *
 * @param {string} columnId
 * @param {import("../data/dataset.js").Dataset} dataset
 * @returns {string}
 */
export function columnName(columnId, dataset) {
  if (columnId === GROUP_COLUMN) return "Groups";
  const [kind, key] = splitColumnId(columnId);
  return kind === "gene" ? dataset.geneNames.describe(key) : key;
}

/**
 * "condition: not healthy", "CD3E: 1 to 4.5", ...
 *
 * @param {import("./filters.js").Filter} filter
 * @param {import("../data/dataset.js").Dataset} dataset
 * @param {import("./groups.js").Group[]} groups
 * @returns {string}
 */
export function describeFilter(filter, dataset, groups) {
  if (filter.kind === "selection") return filter.keep ? "inside an outline" : "outside an outline";
  if (filter.kind === "group") {
    if (filter.group === ANY_GROUP) return filter.keep ? "in any group" : "in no group";
    const name = showName(groups.find(({ id }) => id === filter.group)?.name ?? "a group");
    return filter.keep ? `in ${name}` : `not in ${name}`;
  }
  const name = columnName(filter.column, dataset);
  if (filter.kind === "outliers") {
    const percent = Number((100 - 100 * filter.quantile).toPrecision(3)); // a link may have 0.999
    return `${name}: without the farthest ${percent}%`;
  }
  if (filter.kind === "range") return `${name} ${describeRange(filter)}`;
  return `${name}: ${listCategories(filter, dataset)}`;
}

/** @param {{from: number | null, to: number | null}} range */
function describeRange({ from, to }) {
  if (from === null) return `≤ ${to}`;
  return to === null ? `≥ ${from}` : `${from} to ${to}`;
}

/**
 * @param {import("./filters.js").CategoriesFilter} filter
 * @param {import("../data/dataset.js").Dataset} dataset
 */
function listCategories({ column, codes, keep }, dataset) {
  /** @type {string[]} */
  const names = dataset.categorical.get(splitColumnId(column)[1])?.[1] ?? [];
  if (!keep && names.length > MAX_NAMES && codes.length >= names.length) {
    return `none of ${formatCount(names.length)} categories`;
  }
  const some = codes.slice(0, MAX_NAMES).map((code) => names[code] ?? nameMissing(names));
  const more = codes.length - some.length;
  if (!codes.length) return keep ? "none" : "all";
  return `${keep ? "" : "not "}${some.map(showName).join(", ")}${more ? ` and ${more} more` : ""}`;
}
