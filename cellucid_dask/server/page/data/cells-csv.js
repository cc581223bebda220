// Cells as a CSV file: their rows, ids and values. It is made in parts: millions of cells take a
// while, and the page must not stand still.

/** @typedef {import("./columns.js").CategoricalColumn} CategoricalColumn */
/** @typedef {import("./columns.js").ContinuousColumn} ContinuousColumn */
/**
 * @typedef {object} CellTable
 * @property {number} nCells of the dataset
 * @property {Uint8Array | null} mask a byte per cell, 1 if it is in the table; null for all cells
 * @property {((from: number, to: number) => Promise<string[]>) | null} readIds of the cells `from` to
 *   `to`, the one after the last; null for a table without ids
 * @property {{id: string, key: string, column: CategoricalColumn | ContinuousColumn}[]} columns
 */

const PART = 1 << 13; // cells of the dataset that are written at a time, within about 20 ms

/**
 * A field of a CSV file, as RFC 4180 has it. Text that is empty is quoted, as a field with nothing
 * in it is a missing value. Text that a spreadsheet takes for a formula, such as
 * "=1+1", stays as it is: other programs must read the same ids that the dataset has.
 *
 * @param {string} text
 */
export const quoteField = (text) =>
  (text === "" || /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/**
 * A CSV file with a line for each cell: its row, counted from 0, its id, and its values; a missing
 * value is empty.
 *
 * @param {CellTable} table
 * @param {AbortSignal} signal
 * @param {(share: number) => void} onProgress called with the share of the dataset that is done
 * @returns {Promise<Blob>}
 */
export async function createCellsCsv({ nCells, mask, readIds, columns }, signal, onProgress) {
  const names = [...(readIds ? ["row", "id"] : ["row"]), ...columns.map(({ key }) => key)];
  const header = names.map((name, at) => {
    const column = columns[at - names.length + columns.length];
    return quoteField(names.indexOf(name) === at || !column ? name : column.id);
  });
  const formatters = columns.map(({ column }) => createFormatter(column));
  const parts = [new Blob([`${header.join()}\n`])]; // blobs, which browsers keep out of the memory of the page
  for (let from = 0; from < nCells; from += PART) {
    const rows = listRows(mask, from, Math.min(from + PART, nCells));
    if (rows.length) {
      const first = rows[0];
      const ids = readIds && await readIds(first, rows.at(-1) + 1);
      const lines = rows.map((row) => {
        let line = String(row);
        if (ids) line += `,${quoteField(ids[row - first])}`;
        for (const format of formatters) line += `,${format(row)}`;
        return line;
      });
      parts.push(new Blob([`${lines.join("\n")}\n`]));
    }
    onProgress(Math.min(1, (from + PART) / nCells));
    await new Promise((resolve) => { setTimeout(resolve); }); // the page draws, the user may cancel
    signal.throwIfAborted();
  }
  return new Blob(parts, { type: "text/csv" });
}

/**
 * @param {Uint8Array | null} mask
 * @param {number} from
 * @param {number} to
 */
function listRows(mask, from, to) {
  const rows = [];
  for (let row = from; row < to; row++) if (!mask || mask[row]) rows.push(row);
  return rows;
}

/**
 * The field of a cell in a column.
 *
 * @param {CategoricalColumn | ContinuousColumn} column
 * @returns {(row: number) => string}
 */
function createFormatter(column) {
  const { codes } = column;
  const formatCell = "value" in column
    ? (/** @type {number} */ row) => formatNumber(column, column.value(row))
    : (/** @type {number} */ row) => formatCategory(column.names[codes[row]]);
  if (codes instanceof Float32Array) return formatCell;
  /** @type {string[]} */
  const fields = []; // by code
  return (row) => (fields[codes[row]] ??= formatCell(row));
}

/** @param {string | undefined} name undefined if it is missing */
const formatCategory = (name) => (name === undefined ? "" : quoteField(name));

/**
 * @param {ContinuousColumn} column
 * @param {number} value
 */
const formatNumber = (column, value) => (Number.isNaN(value) ? "" : column.textOf(value));
