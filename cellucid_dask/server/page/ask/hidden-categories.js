// The categories that filters hide in the legend: of a column, or of the groups.

import { view } from "../state.js";
import { hiddenCodes, setHiddenCodes } from "./filters.js";
import { GROUP_COLUMN, hiddenGroups, setHiddenGroups } from "./groups.js";

/** @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn */

/** @param {CategoricalColumn} column */
const listCodes = ({ categories }) => categories.map(({ code }) => code);

/**
 * The codes of a column that the filters of the view hide.
 *
 * @param {string} columnId
 * @param {CategoricalColumn} column
 */
export const findHidden = (columnId, column) => (columnId === GROUP_COLUMN
  ? hiddenGroups(view.filters, view.groups, column.missingCode)
  : hiddenCodes(view.filters, columnId, listCodes(column)));

/**
 * The filters of the view with exactly these codes of a column hidden.
 *
 * @param {string} columnId
 * @param {CategoricalColumn} column
 * @param {Set<number>} hidden
 */
export const hideExactly = (columnId, column, hidden) => (columnId === GROUP_COLUMN
  ? setHiddenGroups(view.filters, view.groups, column.missingCode, hidden)
  : setHiddenCodes(view.filters, columnId, hidden, listCodes(column)));
