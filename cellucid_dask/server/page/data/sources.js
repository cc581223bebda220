// What filters, groups and the selection ask about: columns, outlier quantiles and points, loaded
// once each.

import { columnName } from "../ask/describe.js";
import { createGroupColumn } from "../ask/group-column.js";
import { GROUP_COLUMN } from "../ask/groups.js";
import { forEachFilter } from "../ask/masks.js";
import { toDrawnPoints } from "../plot/drawn-points.js";
import { loaded, plotKey, view } from "../state.js";
import { ColumnCache } from "./column-cache.js";
import { splitColumnId } from "./column-id.js";
import { LoadError } from "./reader.js";

/** @typedef {import("../ask/filters.js").Lasso} Lasso */
/** @typedef {import("../ask/groups.js").Expression} Expression */
/** @typedef {import("./reader.js").Reader} Reader */
/** @typedef {{isLoaded: () => boolean, load: (reader: Reader) => Promise<unknown>}} Source */
/**
 * @typedef {object} Caches
 * @property {ColumnCache} columns
 * @property {Map<string, import("./columns.js").OutlierQuantiles>} outliers by column id
 * @property {Map<string, Float32Array>} points by `plotKey`, as drawn
 * @property {WeakMap<Lasso[], Uint8Array>} lassoMasks
 * @property {Set<string>} missing keys of sources that could not be loaded
 */

/** @type {WeakMap<object, Caches>} */
const cachesOfDatasets = new WeakMap();

/** What is loaded of the dataset; that of another one goes with it. */
function getCaches() {
  const { dataset } = loaded;
  if (!cachesOfDatasets.has(dataset)) {
    cachesOfDatasets.set(dataset, {
      columns: new ColumnCache(),
      outliers: new Map(),
      points: new Map(),
      lassoMasks: new WeakMap(),
      missing: new Set(),
    });
  }
  return cachesOfDatasets.get(dataset);
}

/** Sources that could not be loaded: by their keys. */
export class SourcesError extends Error {
  /** @param {Map<string, LoadError>} errors */
  constructor(errors) {
    const each = [...errors.values()];
    super(each.map(({ message }) => message).join("; "));
    this.keys = [...errors.keys()];
    this.errors = each;
    this.path = each[0].path;
    this.status = each[0].status;
  }
}

/**
 * The groups have no cells if a source that they need could not be loaded.
 *
 * @returns {import("../ask/masks.js").Sources}
 */
export function createSources() {
  const { columns, outliers, points, lassoMasks } = getCaches();
  return {
    nCells: loaded.dataset.nCells,
    groups: view.groups.map((group) =>
      (lacksSources(group.cells) ? { ...group, cells: { any: [] } } : group)),
    column: (id) => columns.get(id),
    outliers: (id) => outliers.get(id),
    points: (lasso) => points.get(plotKey(lasso)),
    lassoMasks,
  };
}

const columnKey = (/** @type {string} */ columnId) => `column ${columnId}`;

/**
 * The sources that expressions and outlines need, by their keys.
 *
 * @param {Expression[]} expressions
 * @param {Lasso[]} [lassos]
 * @returns {Map<string, Source>}
 */
function findSources(expressions, lassos = []) {
  const [{ dataset }, { columns, outliers, points }] = [loaded, getCaches()];
  /** @type {Map<string, Source>} */
  const sources = new Map();
  const addLasso = (/** @type {Lasso} */ lasso) => {
    const key = plotKey(lasso);
    const embedding = dataset.findEmbedding(lasso.embedding, lasso.d);
    sources.set(`points ${key}`, {
      isLoaded: () => points.has(key),
      load: async (reader) =>
        points.set(key, toDrawnPoints(await dataset.readPoints(reader, embedding), lasso.d)),
    });
  };
  forEachFilter(expressions, view.groups, (filter) => {
    if (filter.kind === "selection") filter.lassos.forEach(addLasso);
    else if (filter.kind === "outliers") {
      const { column } = filter;
      sources.set(`outliers ${column}`, {
        isLoaded: () => outliers.has(column),
        load: async (reader) =>
          outliers.set(column, await dataset.readOutliers(reader, splitColumnId(column)[1])),
      });
    } else if (filter.kind !== "group") {
      const { column } = filter;
      sources.set(columnKey(column), {
        isLoaded: () => Boolean(columns.get(column)),
        load: (reader) => loadColumn(reader, column),
      });
    }
  });
  lassos.forEach(addLasso);
  return sources;
}

/**
 * What the view needs: for the filters that are on, the groups whose cells are known, and the
 * selection.
 *
 * @param {Expression[]} [others] that are needed, too
 */
function findNeeds(others = []) {
  const groups = view.groups.map(({ cells }) => cells).filter((cells) => !lacksSources(cells));
  return findSources([...view.filters.filter(({ on }) => on), ...groups, ...others], view.lasso);
}

/** Whether all is loaded that the filters, the groups and the selection of the view need. */
export const areSourcesLoaded = () => [...findNeeds().values()].every(({ isLoaded }) => isLoaded());

/**
 * Whether something that the expression needs could not be loaded.
 *
 * @param {Expression} expression
 */
export function lacksSources(expression) {
  const { missing } = getCaches();
  return missing.size > 0 && [...findSources([expression]).keys()].some((key) => missing.has(key));
}

/**
 * Loads what is not loaded yet of what the filters, the groups and the selection need.
 *
 * @param {Reader} reader
 * @param {Expression[]} [others] that are needed, too
 * @throws {SourcesError} about all that could not be loaded
 */
export async function loadSources(reader, others = []) {
  const { missing } = getCaches();
  /** @type {Map<string, LoadError>} */
  const errors = new Map();
  await Promise.all([...findNeeds(others)].map(async ([key, { isLoaded, load }]) => {
    if (isLoaded()) return;
    await load(reader).then(() => missing.delete(key), (error) => errors.set(key, error));
  }));
  reader.signal.throwIfAborted();
  if (errors.size) throw new SourcesError(errors);
}

/**
 * The page does without these sources, until it asks for them again.
 *
 * @param {string[]} keys
 */
export function markMissing(keys) {
  for (const key of keys) getCaches().missing.add(key);
}

/** Asks again for what could not be loaded. */
export const forgetMissing = () => getCaches().missing.clear();

/** "gene ISG15", "column donor". */
const describeColumn = (/** @type {string} */ columnId) =>
  `${columnId.startsWith("gene:") ? "gene" : "column"} ${columnName(columnId, loaded.dataset)}`;

/**
 * The column of an id: of the dataset, or that of the groups.
 *
 * @param {Reader} reader
 * @param {string} columnId
 */
export async function loadColumn(reader, columnId) {
  if (columnId === GROUP_COLUMN) return createGroupColumn(createSources());
  const { columns, missing } = getCaches();
  const known = columns.get(columnId);
  if (known) return known;
  const column = await loaded.dataset.readColumn(reader, columnId).catch((error) => {
    if (error instanceof LoadError) error.message = `${describeColumn(columnId)}: ${error.message}`;
    throw error;
  });
  const isNeeded = (/** @type {string} */ id) =>
    id === view.color || view.pins.includes(id) || findNeeds().has(columnKey(id));
  columns.set(columnId, column, isNeeded);
  missing.delete(columnKey(columnId));
  return column;
}
