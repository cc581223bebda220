// The columns that the user chose last, by dataset. The browser keeps them.

const MAX_RECENT = 8;
const storageKey = (/** @type {string} */ datasetId) => `cellucid-recent-columns:${datasetId}`;

/**
 * Ids of columns, the last one first.
 *
 * @param {string} datasetId
 * @returns {string[]}
 */
export function readRecentColumns(datasetId) {
  try {
    const found = JSON.parse(localStorage.getItem(storageKey(datasetId)) ?? "[]");
    return Array.isArray(found) ? found.filter((id) => typeof id === "string") : [];
  } catch {
    return []; // a frame may not be allowed to store anything
  }
}

/**
 * @param {string} datasetId
 * @param {string} columnId
 */
export function addRecentColumn(datasetId, columnId) {
  if (!columnId) return;
  const others = readRecentColumns(datasetId).filter((id) => id !== columnId);
  const recent = [columnId, ...others].slice(0, MAX_RECENT);
  try {
    localStorage.setItem(storageKey(datasetId), JSON.stringify(recent));
  } catch {
    // The storage is full or not allowed: there are no recent columns, and all else works.
  }
}
