// Where the rows of a legend are: in as many columns as they need.
//
// Lengths of figures are in units: 12 of them are the size of the text.

/**
 * @typedef {{name: string, color: string, count: string}} LegendRow
 * @typedef {object} LegendLayout
 * @property {number} width
 * @property {number} height
 * @property {number} scale of the text; below 1 if only smaller rows have room
 * @property {number} perColumn rows
 * @property {number} columnWidth with the gap to the next column
 * @property {number} nShown
 * @property {number} nMore rows without room
 */

export const TEXT_SIZE = 12;
export const TITLE_HEIGHT = 26;
export const DOT_SPACE = 18; // from the left of a row to its name
export const COUNT_GAP = 10;
export const COLUMN_GAP = 16;
const ROW_HEIGHT = 18;
const MAX_NAME_WIDTH = 190;
const MIN_WIDTH = 130;
const SCALES = [1, 0.9, 0.8, 0.7, 0.6, 0.5];
const ROUNDING = 1e-6; // of the part of a row that has room
const MAX_MEASURED = 2000; // rows; no more fit

/**
 * Lays out rows inside a box, in as few columns as have room for them, or in a wide box in as many;
 * rows become smaller, down to half, before any is left out.
 *
 * @param {LegendRow[]} rows
 * @param {{width: number, height: number, isWide?: boolean}} room
 * @param {(text: string) => number} measure width of a text of the size `TEXT_SIZE`
 * @returns {LegendLayout}
 */
export function layoutLegend(rows, room, measure) {
  const measured = rows.slice(0, MAX_MEASURED);
  const widest = (/** @type {(row: LegendRow) => string} */ text) =>
    measured.reduce((most, row) => Math.max(most, measure(text(row))), 0);
  const nameWidth = Math.min(MAX_NAME_WIDTH, widest(({ name }) => name) + 1);
  const countWidth = widest(({ count }) => count);
  const rowWidth = DOT_SPACE + nameWidth + (countWidth && COUNT_GAP + countWidth);
  let best = null;
  for (const scale of SCALES) {
    const fitting = Math.floor((room.height - TITLE_HEIGHT) / (ROW_HEIGHT * scale) + ROUNDING);
    const perColumn = Math.max(1, Math.min(rows.length, fitting));
    const columnWidth = Math.min(rowWidth * scale, Math.max(MIN_WIDTH, room.width)) + COLUMN_GAP;
    const maxColumns = Math.max(1, Math.floor((room.width + COLUMN_GAP) / columnWidth));
    const nNeeded = Math.max(1, Math.ceil(rows.length / perColumn));
    const nColumns = room.isWide ? maxColumns : Math.min(nNeeded, maxColumns);
    best = { scale, perColumn, columnWidth, nColumns };
    if (nNeeded <= maxColumns) break;
  }
  const { scale, columnWidth, nColumns } = best;
  const places = nColumns * best.perColumn;
  const nShown = rows.length > places ? places - 1 : rows.length; // the last one says how many more
  const nMore = rows.length - nShown;
  const nPlaces = nShown + (nMore ? 1 : 0);
  const perColumn = Math.ceil(nPlaces / nColumns);
  const nUsed = perColumn && Math.ceil(nPlaces / perColumn);
  return {
    width: Math.max(MIN_WIDTH, nUsed * columnWidth - COLUMN_GAP),
    height: TITLE_HEIGHT + perColumn * ROW_HEIGHT * scale,
    scale, perColumn, columnWidth, nShown, nMore,
  };
}

/**
 * Left end and middle height of a row.
 *
 * @param {LegendLayout} layout
 * @param {number} i
 */
export const placeOfRow = ({ perColumn, columnWidth, scale }, i) => [
  Math.floor(i / perColumn) * columnWidth,
  TITLE_HEIGHT + ((i % perColumn) + 0.5) * ROW_HEIGHT * scale,
];
