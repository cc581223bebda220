// What filters, groups and the selection ask about: columns, outlier quantiles and points, loaded
// once each.

import { createGroupColumn } from "../ask/group-column.js";
import { GROUP_COLUMN } from "../ask/groups.js";
import { clearMasks, forEachFilter } from "../ask/masks.js";
import { toDrawnPoints } from "../plot/renderer.js";
import { loaded, plotKey, view } from "../state.js";
import { ColumnCache } from "./column-cache.js";
import { splitColumnId } from "./dataset.js";

const columns = new ColumnCache();
const outliersOfColumns = new Map();
const drawnPoints = new Map(); // by plotKey

/** Forgets what is loaded of the previous dataset. */
export function clearSources() {
  columns.clear();
  outliersOfColumns.clear();
  drawnPoints.clear();
  clearMasks();
}

/** @returns {import("../ask/masks.js").Sources} */
export const createSources = () => ({
  nCells: loaded.dataset.nCells,
  groups: view.groups,
  column: (id) => columns.get(id),
  outliers: (id) => outliersOfColumns.get(id),
  points: (lasso) => drawnPoints.get(plotKey(lasso)),
});

/** What the filters that are on, the groups and the selection need: of each kind, by its key. */
function collectNeeds() {
  const needs = { columns: new Set(), outliers: new Set(), points: new Map() };
  const addLassos = (lassos) => lassos.forEach((lasso) => needs.points.set(plotKey(lasso), lasso));
  const expressions = [...view.filters.filter(({ on }) => on), ...view.groups.map(({ cells }) => cells)];
  forEachFilter(expressions, view.groups, (filter) => {
    if (filter.kind === "selection") addLassos(filter.lassos);
    else if (filter.kind === "outliers") needs.outliers.add(filter.column);
    else if (filter.kind !== "group") needs.columns.add(filter.column);
  });
  addLassos(view.lasso);
  return needs;
}

/** Whether all is loaded that the filters, the groups and the selection of the view need. */
export function areSourcesLoaded() {
  const needs = collectNeeds();
  return [...needs.columns].every((id) => columns.get(id))
    && [...needs.outliers].every((id) => outliersOfColumns.has(id))
    && [...needs.points.keys()].every((key) => drawnPoints.has(key));
}

/** Loads what is not loaded yet of what the filters, the groups and the selection need. */
export async function loadSources(reader) {
  const { dataset } = loaded;
  const needs = collectNeeds();
  await Promise.all([
    ...[...needs.columns].map((id) => loadColumn(reader, id)),
    ...[...needs.outliers].filter((id) => !outliersOfColumns.has(id)).map(async (id) => {
      const outliers = await dataset.readOutliers(reader, splitColumnId(id)[1]);
      if (loaded.dataset === dataset) outliersOfColumns.set(id, outliers);
    }),
    ...[...needs.points].filter(([key]) => !drawnPoints.has(key)).map(async ([key, lasso]) => {
      const embedding = dataset.findEmbedding(lasso.embedding, lasso.d);
      const points = await dataset.readPoints(reader, embedding);
      if (loaded.dataset === dataset) drawnPoints.set(key, toDrawnPoints(points, lasso.d));
    }),
  ]);
}

/**
 * The column of an id: of the dataset, or that of the groups.
 *
 * @param {import("./reader.js").Reader} reader
 * @param {string} columnId
 */
export async function loadColumn(reader, columnId) {
  if (columnId === GROUP_COLUMN) return createGroupColumn(createSources());
  const known = columns.get(columnId);
  if (known) return known;
  const { dataset } = loaded;
  const column = await dataset.readColumn(reader, columnId);
  const isNeeded = (id) => id === view.color || view.pins.includes(id) || collectNeeds().columns.has(id);
  if (loaded.dataset === dataset) columns.set(columnId, column, isNeeded);
  return column;
}
