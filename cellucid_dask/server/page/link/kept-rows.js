// Lists of rows, which a link names and does not hold. The browser keeps them for the tab, so that
// they are there again when the page is loaded again.

/** @typedef {{rows: [number, number][]}} RowList */

const STORAGE_KEY = "cellucid-rows";
const MAX_LENGTH = 2_000_000; // characters; a browser keeps about 5 million for all tabs of a site

/** @type {WeakMap<RowList, {name: string, hash: string}>} `hash` is that of the cells */
const facts = new WeakMap();

/**
 * What is kept, the oldest first: [name, hash of the cells, steps]. Each step is the distance from
 * one end of a range to the next, which takes a third of the text that rows would take.
 *
 * @type {[string, string, number[]][]}
 */
const kept = readKept();

/**
 * Keeps lists of rows, and gives each a name; the oldest make room if there are too many.
 *
 * @param {RowList[]} lists
 * @param {string} hash of the cells whose rows they are
 */
export function keepRows(lists, hash) {
  for (const list of lists) {
    const name = Math.random().toString(36).slice(2, 12);
    facts.set(list, { name, hash });
    const ends = list.rows.flat();
    kept.push([name, hash, ends.map((end, i) => end - (ends[i - 1] ?? 0))]);
  }
  const texts = kept.map((entry) => JSON.stringify(entry));
  let length = texts.reduce((sum, text) => sum + text.length, 0);
  while (length > MAX_LENGTH) {
    length -= texts.shift().length;
    kept.shift();
  }
  try {
    sessionStorage.setItem(STORAGE_KEY, `[${texts.join()}]`);
  } catch {
    // They hold until the page is loaded again.
  }
}

/**
 * The list that is kept under a name; an empty one, which is of no cells, if there is none.
 *
 * @param {string} name
 * @returns {RowList}
 */
export function findRows(name) {
  const [, hash = "", steps = []] = kept.find((entry) => entry[0] === name) ?? [];
  let end = 0;
  const ends = steps.map((step) => (end += step));
  /** @type {[number, number][]} */
  const rows = Array.from({ length: ends.length / 2 }, (_, i) => [ends[2 * i], ends[2 * i + 1]]);
  const list = { rows };
  facts.set(list, { name, hash });
  return list;
}

/** @param {RowList} list */
export const nameOfRows = (list) => facts.get(list)?.name ?? "";

/**
 * Whether the rows are those of the cells with this hash.
 *
 * @param {RowList} list
 * @param {string} hash
 */
export const areOfCells = (list, hash) => facts.get(list)?.hash === hash;

/** @returns {[string, string, number[]][]} */
function readKept() {
  try {
    return JSON.parse(sessionStorage.getItem(STORAGE_KEY)) ?? [];
  } catch {
    return []; // a frame may not be allowed to store anything
  }
}
