// The colors that the user gave to categories, as parts of a link: "0-ff0000,7-00aa00:obs:KEY", one
// part for each column.

const PART = /^(\d{1,5}-[0-9a-f]{6}(?:,\d{1,5}-[0-9a-f]{6})*):(.+)$/s;

/**
 * The parts of `view.colors`.
 *
 * @param {Record<string, Record<string, string>>} colors "#rrggbb" by column id and code
 * @returns {string[]}
 */
export function formatEditedColors(colors) {
  return Object.entries(colors).map(([columnId, byCode]) => {
    const edits = Object.entries(byCode).map(([code, hex]) => `${code}-${hex.slice(1)}`);
    return `${edits.join()}:${columnId}`;
  });
}

/**
 * The inverse of `formatEditedColors`; leaves out parts that cannot be used.
 *
 * @param {string[]} parts
 * @param {(part: string) => void} onUnusable
 * @returns {Record<string, Record<string, string>>}
 */
export function parseEditedColors(parts, onUnusable) {
  return Object.fromEntries(parts.flatMap((part) => {
    const [, edits, columnId] = PART.exec(part) ?? [];
    if (!edits) {
      onUnusable(part);
      return [];
    }
    const byCode = edits.split(",").map((edit) => edit.split("-"));
    return [[columnId, Object.fromEntries(byCode.map(([code, hex]) => [Number(code), `#${hex}`]))]];
  }));
}
