// Ids of columns: "obs:KEY" of a field, "gene:NAME"; "" means no column.

/**
 * ["obs", "cell_type"] of "obs:cell_type".
 *
 * @param {string} columnId
 */
export function splitColumnId(columnId) {
  const colon = columnId.indexOf(":");
  return [columnId.slice(0, colon), columnId.slice(colon + 1)];
}
