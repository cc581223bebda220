// The groups as a column, to color the cells by.

import { CategoricalColumn } from "../data/columns.js";
import { GROUP_COLUMN } from "./groups.js";
import { createMask } from "./masks.js";

const MAX_GROUPS = 254; // codes of a byte, with one for cells in no group

/**
 * The group of each cell; a cell in several groups is shown in the last of them.
 *
 * @param {import("./masks.js").Sources} sources
 */
export function createGroupColumn(sources) {
  const groups = sources.groups.slice(0, MAX_GROUPS);
  const codes = new Uint8Array(sources.nCells).fill(MAX_GROUPS);
  groups.forEach(({ cells }, code) => {
    const mask = createMask(cells, sources);
    for (let i = 0; i < codes.length; i++) if (mask[i]) codes[i] = code;
  });
  const [names, colors] = [groups.map(({ name }) => name), groups.map(({ color }) => color)];
  const column = new CategoricalColumn(
    "Groups", names, codes, MAX_GROUPS, colors, "in no group");
  return Object.assign(column, { id: GROUP_COLUMN });
}
