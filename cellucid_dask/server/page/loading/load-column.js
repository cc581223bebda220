// Loads the column that colors the cells, and the one that the labels are of.

import { GROUP_COLUMN } from "../ask/groups.js";
import { splitColumnId } from "../data/column-id.js";
import { loadColumn } from "../data/sources.js";
import { $ } from "../dom.js";
import { loaded, view } from "../state.js";
import { chooseColumn, defaultColumn } from "./choose-column.js";
import { loadOptional, noteFailure } from "./failed-parts.js";
import { loadNeeds } from "./load-cells.js";
import { showColumn } from "./show-loaded.js";

/** @typedef {import("../data/reader.js").Reader} Reader */
/** @typedef {import("./load-dataset.js").Fields} Fields */
/** @typedef {import("./show-loaded.js").Ui} Ui */

/** Whether the column that the view wants colors the cells; that of the groups changes with them. */
export const isColumnShown = () => loaded.columnId === view.color
  && (view.color !== GROUP_COLUMN || loaded.groupsInColumn === view.groups);

/** Whether labels of groups are those of the view: with values, they stay when groups change. */
export const areLabelsShown = () => loaded.labelColumn?.id !== GROUP_COLUMN
  || loaded.groupsInLabels === view.groups || view.color === GROUP_COLUMN;

/**
 * Runs while the points load; waits for the list of genes only for a gene, or for groups.
 *
 * @param {Reader} reader
 * @param {Fields | null} fields null if they are known
 * @param {Ui} ui
 */
export async function loadShownColumn(reader, fields, ui) {
  const needsAll = ["gene", "groups"].includes(splitColumnId(view.color ?? "")[0]);
  await (needsAll ? fields?.all : fields?.obs);
  reader.signal.throwIfAborted();
  chooseColumn();
  const isShown = isColumnShown();
  $("legend").inert = !isShown; // until then it is the legend of the previous column
  if (isShown) return;
  if (view.color === GROUP_COLUMN) await loadNeeds(reader);
  const column = view.color ? await loadOptional(reader, loadColumn(reader, view.color),
    { color: "", range: null, log: false }, "The cells have no colors.") : null;
  reader.signal.throwIfAborted();
  Object.assign(loaded, { columnId: view.color, column, groupsInColumn: view.groups });
  showColumn(ui);
}

/**
 * A link with a column of values says which column the labels are of, and groups may have changed.
 *
 * @param {Reader} reader
 * @param {Ui} ui
 */
export async function loadLabelColumn(reader, { display }) {
  const { dataset, column } = loaded;
  if (!column || column.isCategorical) return;
  if (!areLabelsShown()) {
    loaded.labelColumn = null;
    display.updateAppearance();
  }
  if (loaded.labelColumn) return;
  if (view.labelColumn === GROUP_COLUMN && !view.groups.length) view.labelColumn = "";
  const wanted = view.labelColumn || defaultColumn();
  const isKnown = wanted === GROUP_COLUMN || dataset.categorical.has(splitColumnId(wanted)[1]);
  if (!isKnown || wanted === loaded.lostLabels) return;
  const found = await loadColumn(reader, wanted).catch((error) => ({ error }));
  reader.signal.throwIfAborted();
  if ("error" in found) {
    loaded.lostLabels = wanted;
    noteFailure(found.error, ["There are no labels."]);
    return;
  }
  Object.assign(loaded, { labelColumn: found, groupsInLabels: view.groups });
  display.updateAppearance();
}
