// Sets of cells that a user can choose from: the visible ones, the selected ones, and each group.

import { createMask } from "../ask/masks.js";
import { loaded, view } from "../state.js";
import { createSources } from "./sources.js";

/**
 * [name, value] of each set that there is now.
 *
 * @returns {[string, string][]}
 */
export const listCellSets = () => [
  ["Visible", "visible"],
  .../** @type {[string, string][]} */ (loaded.selectionMask ? [["Selected", "selected"]] : []),
  .../** @type {[string, string][]} */ (
    view.groups.map(({ name, id }) => [`Group: ${name}`, `group:${id}`])),
];

/**
 * The groups with the cells of each; a cell may be in several.
 *
 * @returns {{name: string, mask: Uint8Array}[]}
 */
export function createGroupMasks() {
  const sources = createSources();
  return sources.groups.map(({ name, cells }) => ({ name, mask: createMask(cells, sources) }));
}

/**
 * Number of cells of a set that are in more than one group.
 *
 * @param {Uint8Array | null} mask of the set; null for all cells
 */
export function countSharedCells(mask) {
  const nGroups = new Uint16Array(loaded.dataset.nCells);
  for (const { mask: group } of createGroupMasks()) {
    for (let i = 0; i < group.length; i++) nGroups[i] += group[i];
  }
  return nGroups.reduce((n, count, i) => n + Number(count > 1 && (!mask || mask[i] > 0)), 0);
}

/**
 * A byte for each cell, 1 if it is in the set; null for all cells. What groups need must be loaded.
 *
 * @param {string} value
 * @returns {Uint8Array | null}
 */
export function createSetMask(value) {
  const { visible, selectionMask } = loaded;
  const sources = createSources();
  const group = sources.groups.find(({ id }) => value === `group:${id}`);
  if (group) return createMask(group.cells, sources);
  if (value !== "selected" || !selectionMask) return visible;
  return visible ? selectionMask.map((isSelected, i) => isSelected & visible[i]) : selectionMask;
}
