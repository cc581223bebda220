// Text of figures: its font, and how a long name is made to fit.

/** Every program that opens an SVG has one of these. */
export const FONT_FAMILY = "Helvetica, Arial, sans-serif";

const MAX_CHARACTERS = 200; // no more of them fit anywhere, and each cut is measured

/**
 * The text, or its start and its end around "…", so that it is not wider than `width`: the names of
 * cell types often differ only at the end.
 *
 * @param {string} text
 * @param {number} width
 * @param {(text: string) => number} measure
 * @returns {string}
 */
export function fitText(text, width, measure) {
  const characters = [...text];
  if (characters.length <= MAX_CHARACTERS && measure(text) <= width) return text;
  const cut = (/** @type {number} */ kept) => {
    const atStart = Math.ceil(kept * 0.6);
    const end = characters.slice(characters.length - (kept - atStart)).join("");
    return `${characters.slice(0, atStart).join("")}…${end}`;
  };
  let [low, high] = [1, Math.min(MAX_CHARACTERS, characters.length - 1)];
  while (low < high) {
    const kept = Math.ceil((low + high) / 2);
    if (measure(cut(kept)) <= width) low = kept;
    else high = kept - 1;
  }
  return cut(low);
}
