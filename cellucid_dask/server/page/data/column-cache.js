// Columns that are loaded, to use them again: for filters, the tooltip, and when the user comes
// back to a column.

const MAX_BYTES = 400e6; // of codes of columns that nothing needs any more

/** Columns by id, the least recently used first. */
export class ColumnCache {
  #columns = new Map();

  /**
   * @param {string} columnId
   */
  get(columnId) {
    const column = this.#columns.get(columnId);
    if (column) {
      this.#columns.delete(columnId);
      this.#columns.set(columnId, column);
    }
    return column;
  }

  /**
   * Adds a column, and forgets the oldest ones that are too much and that `isNeeded` does not name.
   *
   * @param {string} columnId
   * @param {{codes: ArrayBufferView}} column
   * @param {(columnId: string) => boolean} isNeeded
   */
  set(columnId, column, isNeeded) {
    this.#columns.set(columnId, column);
    let bytes = 0;
    for (const { codes } of this.#columns.values()) bytes += codes.byteLength;
    for (const [id, { codes }] of this.#columns) {
      if (bytes <= MAX_BYTES) return;
      if (id === columnId || isNeeded(id)) continue;
      this.#columns.delete(id);
      bytes -= codes.byteLength;
    }
  }
}
