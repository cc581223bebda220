// Takes out of a view what the dataset does not have, and says what, in words.

import { columnOfFilter } from "../ask/filters.js";
import { ANY_GROUP, GROUP_COLUMN, listRows } from "../ask/groups.js";
import { forEachFilter } from "../ask/masks.js";
import { splitColumnId } from "../data/column-id.js";
import { areOfCells } from "./kept-rows.js";

/** @typedef {import("../ask/filters.js").Filter} Filter */
/** @typedef {import("../ask/filters.js").Lasso} Lasso */
/** @typedef {import("../data/dataset.js").Dataset} Dataset */
/** @typedef {import("./link.js").View} View */

const NOT_KEPT =
  "its cells are listed in a session file, not in the link. Open that file with Open session";
/** @type {(field: import("../data/column-files.js").CategoricalField, code: number) => boolean} */
const hasCategory = ([, names, , missingCode], code) => code < names.length || code === missingCode;

/**
 * Takes the embedding of the view, which says the dimension; else the default of the dimension.
 *
 * @param {View} view changes
 * @param {Dataset} dataset
 * @param {string[]} problems gets a line for each part
 */
export function chooseEmbedding(view, { embeddings, identity }, problems) {
  const named = embeddings.find(({ id }) => id === view.embedding);
  if (named) {
    Object.assign(view, { d: named.dimension, embedding: named.isDefault ? "" : named.id });
    return;
  }
  const { d, embedding } = view;
  if (!embeddings.some(({ dimension }) => dimension === d)) {
    view.d = identity.embeddings.default_dimension;
  }
  if (d !== view.d || embedding) Object.assign(view, { embedding: "", at: null });
  const shown = embeddings.find(({ dimension, isDefault }) => isDefault && dimension === view.d);
  if (embedding) {
    problems.push(`This dataset has no embedding "${embedding}". The page shows "${shown.id}".`);
  } else if (d && d !== view.d) {
    problems.push(`This dataset has no ${d}D embedding. The page shows ${view.d}D.`);
  }
}

/**
 * Takes another embedding in place of the one of the view, which cannot be shown: a default one, if
 * possible of the same dimension. False if all were tried.
 *
 * @param {View} view changes
 * @param {Dataset} dataset
 * @param {import("../data/embeddings.js").Embedding[]} tried
 */
export function chooseOtherEmbedding(view, { embeddings, identity }, tried) {
  const usable = embeddings.filter((embedding) => !tried.includes(embedding));
  const defaults = usable.filter(({ isDefault }) => isDefault);
  const shown = defaults.find(({ dimension, problem }) => dimension === view.d && !problem)
    ?? defaults.find(({ dimension }) => dimension === identity.embeddings.default_dimension)
    ?? defaults.at(-1) ?? usable[0];
  if (!shown) return false;
  Object.assign(view, { d: shown.dimension, embedding: shown.isDefault ? "" : shown.id });
  return true;
}

/**
 * Drops outlines, vectors and edges that the dataset does not have.
 *
 * @param {View} view changes
 * @param {Dataset} dataset
 * @param {string[]} problems gets a line for each part
 */
export function dropUnusableMarks(view, dataset, problems) {
  const lost = view.lasso.find((lasso) => !hasEmbedding(lasso, dataset));
  if (lost) {
    problems.push(`An outline of the selection is left out: ${describeLost(lost)}.`);
    view.lasso = view.lasso.filter((lasso) => hasEmbedding(lasso, dataset));
  }
  if (view.vectors && !Object.hasOwn(dataset.vectorFields, view.vectors)) {
    problems.push(`This dataset has no vector field "${view.vectors}".`);
    view.vectors = "";
  }
  if (view.edges && dataset.nEdges === 0) {
    problems.push("This dataset has no neighbor edges.");
    view.edges = false;
  }
}

/**
 * Drops filters, groups, pins and other parts that ask for columns that the dataset does not have.
 *
 * @param {View} view changes
 * @param {Dataset} dataset whose fields and genes are known
 * @param {string[]} problems gets a line for each part
 * @param {string} hash of the cells, if there are lists of rows
 */
export function dropUnusableColumns(view, dataset, problems, hash) {
  const namesOfLostGroups = dropUnusableGroups(view, dataset, problems, hash);
  view.filters = view.filters.filter((filter) => {
    const name = filter.kind === "group" ? namesOfLostGroups.get(filter.group) : undefined;
    const why = name === undefined ? whyUnusable(filter, view, dataset) : "the group is left out, too";
    if (why) problems.push(`The filter ${describeSubject(filter, name)} is left out: ${why}.`);
    return !why;
  });
  view.filters = view.filters.map((filter) => {
    const known = dropUnknownCodes(filter, dataset);
    if (known !== filter) {
      problems.push(`The filter ${describeSubject(filter)} lists categories that this column does not have.`);
    }
    return known;
  });
  const dropMissing = (/** @type {string[]} */ columnIds, /** @type {string} */ what) =>
    columnIds.filter((columnId) => {
      const isKnown = kindOfColumn(columnId, dataset) !== null;
      if (!isKnown) problems.push(`${what} "${nameInLink(columnId)}" is left out: ${whyMissing(columnId)}.`);
      return isKnown;
    });
  view.pins = dropMissing(view.pins, "The pinned column");
  const edited = Object.keys(view.colors);
  const colored = new Set(dropMissing(edited, "The change of colors of"));
  if (colored.size < edited.length) {
    view.colors = Object.fromEntries(Object.entries(view.colors).filter(([id]) => colored.has(id)));
  }
  const isOfGroups = view.labelColumn === GROUP_COLUMN && view.groups.length > 0;
  if (view.labelColumn && !isOfGroups && kindOfColumn(view.labelColumn, dataset) !== "categories") {
    problems.push(`Labels of "${nameInLink(view.labelColumn)}" are left out: this dataset has no such categories.`);
    view.labelColumn = "";
  }
}

/**
 * Drops the groups that cannot be shown.
 *
 * @param {View} view changes
 * @param {Dataset} dataset
 * @param {string[]} problems
 * @param {string} hash
 * @returns {Map<string, string>} their names by id
 */
function dropUnusableGroups(view, dataset, problems, hash) {
  const lost = new Map();
  for (const { id, name, cells } of view.groups) {
    let why = listRows(cells).every((list) => areOfCells(list, hash)) ? "" : NOT_KEPT;
    forEachFilter([cells], view.groups, (filter) => { why ||= whyUnusable(filter, view, dataset); });
    if (!why) {
      forEachFilter([cells], view.groups, (filter) => {
        if (dropUnknownCodes(filter, dataset) === filter) return;
        const key = nameInLink(columnOfFilter(filter));
        problems.push(`The group "${name}" lists categories that "${key}" does not have.`);
      });
      continue;
    }
    problems.push(`The group "${name}" is left out: ${why}.`);
    lost.set(id, name);
  }
  if (lost.size) view.groups = view.groups.filter(({ id }) => !lost.has(id));
  return lost;
}

/**
 * The filter without codes that its column does not have; the same if it has all of them.
 *
 * @param {Filter} filter
 * @param {Dataset} dataset
 * @returns {Filter}
 */
function dropUnknownCodes(filter, dataset) {
  const field = dataset.categorical.get(splitColumnId(columnOfFilter(filter) ?? "")[1]);
  if (filter.kind !== "categories" || !field) return filter;
  const codes = filter.codes.filter((code) => hasCategory(field, code));
  return codes.length === filter.codes.length ? filter : { ...filter, codes };
}

/**
 * Why a filter cannot be applied; "" if it can.
 *
 * @param {Filter} filter
 * @param {View} view
 * @param {Dataset} dataset
 */
function whyUnusable(filter, view, dataset) {
  if (filter.kind === "group") {
    const isKnown = view.groups.some(({ id }) => [id, ANY_GROUP].includes(filter.group));
    return isKnown ? "" : "there is no such group";
  }
  if (filter.kind === "selection") {
    const lost = filter.lassos.find((lasso) => !hasEmbedding(lasso, dataset));
    return lost ? describeLost(lost) : "";
  }
  const kind = kindOfColumn(filter.column, dataset);
  if (kind === null) return whyMissing(filter.column);
  if (filter.kind === "range") return kind === "values" ? "" : "this column has no values";
  if (kind !== "categories") return "this column has no categories";
  if (filter.kind === "outliers") {
    return dataset.hasOutliers ? "" : "this dataset has no outlier quantiles";
  }
  // Without any of its categories, it would pass all cells, or none.
  const field = dataset.categorical.get(splitColumnId(filter.column)[1]);
  const isLost = filter.codes.length && !filter.codes.some((code) => hasCategory(field, code));
  return isLost ? `it lists only categories that "${nameInLink(filter.column)}" does not have` : "";
}

/**
 * "of "condition"", "by an outline", ...
 *
 * @param {Filter} filter
 * @param {string} [groupName]
 */
function describeSubject(filter, groupName) {
  if (filter.kind === "selection") return "by an outline";
  if (filter.kind === "group") return groupName ? `by the group "${groupName}"` : "by a group";
  return `of "${nameInLink(columnOfFilter(filter))}"`;
}

/** @param {string} columnId */
const nameInLink = (columnId) => splitColumnId(columnId)[1] || columnId;

/** @param {string} columnId */
const whyMissing = (columnId) =>
  `this dataset has no such ${splitColumnId(columnId)[0] === "gene" ? "gene" : "column"}`;

/** @param {Lasso} lasso */
const describeLost = ({ d, embedding }) => (embedding
  ? `it was drawn on the embedding "${embedding}", which this dataset does not have`
  : `it was drawn in ${d}D, which this dataset does not have`);

/**
 * Whether the dataset has the embedding in which an outline was drawn.
 *
 * @param {Lasso} lasso
 * @param {Dataset} dataset
 */
function hasEmbedding({ d, embedding }, dataset) {
  const found = dataset.findEmbedding(embedding, d);
  return Boolean(found && (!embedding || found.id === embedding));
}

/**
 * Whether a column of the dataset has categories or values; null if there is no such column.
 *
 * @param {string} columnId
 * @param {Dataset} dataset
 * @returns {"categories" | "values" | null}
 */
export function kindOfColumn(columnId, dataset) {
  const [kind, key] = splitColumnId(columnId);
  if (kind === "obs" && dataset.categorical.has(key)) return "categories";
  return columnId && dataset.hasColumn(columnId) ? "values" : null;
}
