// The groups as a column, to color the cells by.

import { CategoricalColumn } from "../data/columns.js";
import { GROUP_COLUMN } from "./groups.js";
import { createMask } from "./masks.js";

/**
 * The group of each cell; a cell in several groups is shown in the last of them.
 *
 * @param {import("./masks.js").Sources} sources
 */
export function createGroupColumn(sources) {
  const { groups, nCells } = sources;
  const [Codes, noGroup] = groups.length < 255 ? [Uint8Array, 255] : [Uint16Array, 65535];
  const codes = new Codes(nCells).fill(noGroup);
  groups.forEach(({ cells }, code) => {
    const mask = createMask(cells, sources);
    for (let i = 0; i < codes.length; i++) if (mask[i]) codes[i] = code;
  });
  const [names, colors] = [groups.map(({ name }) => name), groups.map(({ color }) => color)];
  const column = new CategoricalColumn(
    "Groups", names, codes, noGroup, colors, "in no group");
  return Object.assign(column, { id: GROUP_COLUMN });
}
