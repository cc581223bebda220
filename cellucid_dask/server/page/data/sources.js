// What filters, groups and the selection ask about: columns, outlier quantiles and points, loaded
// once each.

import { createGroupColumn } from "../ask/group-column.js";
import { GROUP_COLUMN } from "../ask/groups.js";
import { forEachFilter } from "../ask/masks.js";
import { toDrawnPoints } from "../plot/renderer.js";
import { loaded, plotKey, view } from "../state.js";
import { ColumnCache } from "./column-cache.js";
import { splitColumnId } from "./dataset.js";

const cachesOfDatasets = new WeakMap();

/** What is loaded of the dataset; that of another one goes with it. */
function getCaches() {
  const { dataset } = loaded;
  if (!cachesOfDatasets.has(dataset)) {
    cachesOfDatasets.set(dataset, {
      columns: new ColumnCache(),
      outliers: new Map(), // by column id
      points: new Map(), // by plotKey, as drawn
      lassoMasks: new WeakMap(),
    });
  }
  return cachesOfDatasets.get(dataset);
}

/** @returns {import("../ask/masks.js").Sources} */
export function createSources() {
  const { columns, outliers, points, lassoMasks } = getCaches();
  return {
    nCells: loaded.dataset.nCells,
    groups: view.groups,
    column: (id) => columns.get(id),
    outliers: (id) => outliers.get(id),
    points: (lasso) => points.get(plotKey(lasso)),
    lassoMasks,
  };
}

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
  const [needs, { columns, outliers, points }] = [collectNeeds(), getCaches()];
  return [...needs.columns].every((id) => columns.get(id))
    && [...needs.outliers].every((id) => outliers.has(id))
    && [...needs.points.keys()].every((key) => points.has(key));
}

/** Loads what is not loaded yet of what the filters, the groups and the selection need. */
export async function loadSources(reader) {
  const { dataset } = loaded;
  const [needs, { outliers, points }] = [collectNeeds(), getCaches()];
  await Promise.all([
    ...[...needs.columns].map((id) => loadColumn(reader, id)),
    ...[...needs.outliers].filter((id) => !outliers.has(id)).map(async (id) => {
      outliers.set(id, await dataset.readOutliers(reader, splitColumnId(id)[1]));
    }),
    ...[...needs.points].filter(([key]) => !points.has(key)).map(async ([key, lasso]) => {
      const embedding = dataset.findEmbedding(lasso.embedding, lasso.d);
      points.set(key, toDrawnPoints(await dataset.readPoints(reader, embedding), lasso.d));
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
  const { columns } = getCaches();
  const known = columns.get(columnId);
  if (known) return known;
  const column = await loaded.dataset.readColumn(reader, columnId);
  const isNeeded = (id) => id === view.color || view.pins.includes(id) || collectNeeds().columns.has(id);
  columns.set(columnId, column, isNeeded);
  return column;
}
