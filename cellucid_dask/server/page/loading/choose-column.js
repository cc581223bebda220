// Chooses the column that colors the cells, where the view has none or one that is not there.

import { columnName } from "../ask/describe.js";
import { columnOfFilter } from "../ask/filters.js";
import { GROUP_COLUMN } from "../ask/groups.js";
import { splitColumnId } from "../data/column-id.js";
import { kindOfColumn } from "../link/unusable-parts.js";
import { loaded, problems, view } from "../state.js";

export const NO_GROUPS = "There are no groups to color the cells by.";

/** Id of the first useful categorical column; "" if there is none. */
export function defaultColumn() {
  const fields = [...loaded.dataset.categorical.values()];
  const useful = fields.find(([, { length }]) => length > 1 && length < 255);
  return useful ? `obs:${useful[0]}` : "";
}

/** @param {string} columnId */
export function describeUnknownColor(columnId) {
  const [kind, key] = splitColumnId(columnId);
  const noun = { obs: "obs column", gene: "gene" }[kind] ?? "obs column or gene";
  return `This dataset has no ${noun} "${key || columnId}". Choose another one.`;
}

/** If the view has no column, or one that does not exist: takes the first useful one. */
export function chooseColumn() {
  const { dataset } = loaded;
  const [kind, key] = splitColumnId(view.color ?? "");
  if (kind === "gene" && !dataset.genes) return; // not loaded yet
  const isKnown = view.color === null || view.color === GROUP_COLUMN
    || dataset.hasColumn(view.color);
  const genes = !isKnown && kind === "gene" ? dataset.geneNames.find(key) : [];
  if (genes.length === 1) view.color = `gene:${genes[0]}`; // the link has its symbol
  else if (!isKnown) {
    problems.push(genes.length
      ? `${genes.length} genes have the symbol "${key}": ${genes.join(", ")}. Choose one.`
      : describeUnknownColor(view.color));
    const filters = view.filters.filter((filter) => columnOfFilter(filter) !== "");
    if (filters.length < view.filters.length) problems.push(`What is hidden of "${key}" is left out.`);
    view.filters = filters;
    Object.assign(view, { color: null, range: null, log: false });
  }
  view.color ??= defaultColumn();
  nameColumnOfOldFilters();
}

/** Filters of an older link are of the column that colors the cells. */
function nameColumnOfOldFilters() {
  const { filters, color } = view;
  const isOld = (/** @type {import("../ask/filters.js").Filter} */ filter) => columnOfFilter(filter) === "";
  if (!filters.some(isOld)) return; // the legend is redrawn for other filters, also in a drag
  if (kindOfColumn(color, loaded.dataset) === "categories") {
    view.filters = filters.map((filter) => (isOld(filter) ? { ...filter, column: color } : filter));
  } else {
    const what = color ? ` of "${columnName(color, loaded.dataset)}"` : "";
    problems.push(`What is hidden${what} is left out: no column of categories colors the cells.`);
    view.filters = filters.filter((filter) => !isOld(filter));
  }
}
