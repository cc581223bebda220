// Which cells are drawn over which: the rule of the shader, for what the CPU must know of it.
//
// A cell has a level: cells of a higher level are on top of all cells of a lower one; cells at 0
// are below all other values. In a level, 1D and 2D go by value and then by the order of rows. 3D
// goes by distance, values by bands of the color scale first: high values stay visible, and cells
// of about the same value look spatial.

export const VALUE_BANDS = 16; // of the color scale in 3D
const HIDDEN = -1;
const [CONTEXT, FADED, MISSING, ZERO, TOP] = [0, 1, 2, 3, 4];
export const [FILTERED_OUT_BIT, FADED_BIT] = [1, 2]; // of flags

/** @typedef {import("./renderer.js").Appearance} Appearance */
/** @typedef {import("../data/columns.js").Codes} Codes */

/**
 * A byte per cell for the graphics card: bit 0 filtered out, bit 1 faded; null if all are 0.
 *
 * @param {number} nCells
 * @param {Uint8Array | null} visible 1 for cells that pass all filters; null if all do
 * @param {Uint8Array | null} selected 1 for cells in the selection; null without a selection
 * @returns {Uint8Array | null}
 */
export function createFlags(nCells, visible, selected) {
  if (!visible && !selected) return null;
  const flags = new Uint8Array(nCells);
  if (selected) for (let i = 0; i < nCells; i++) flags[i] = selected[i] ? 0 : FADED_BIT;
  if (visible) for (let i = 0; i < nCells; i++) if (!visible[i]) flags[i] |= FILTERED_OUT_BIT;
  return flags;
}

/**
 * Level of a code, plus the position from 0 to 0.999 of a value on the color scale.
 *
 * @param {Appearance} appearance
 * @param {Uint8Array} palette RGBA bytes of codes
 * @returns {(code: number) => number}
 */
function createLevelOfCode(appearance, palette) {
  const { columnKind, decoding, range, useLog, highlightedCode, zeroCode } = appearance;
  const [origin, step, missingCode, logShift] = decoding;
  const [low, high] = range;
  const levelOfCategory = (/** @type {number} */ code) => {
    const index = Math.min(code, missingCode);
    if (highlightedCode >= 0 && index !== highlightedCode) return FADED;
    return palette[4 * index + 3] > 127 ? TOP : MISSING;
  };
  const levelOfValue = (/** @type {number} */ code) => {
    if (code >= missingCode) return MISSING;
    if (code === zeroCode) return ZERO;
    const value = origin + code * step;
    const scaled = useLog ? Math.log(value + logShift) : value;
    const t = Math.min(1, Math.max(0, (scaled - low) / Math.max(high - low, 1e-30)));
    return TOP + 0.999 * t;
  };
  return [() => TOP, levelOfCategory, levelOfValue][columnKind];
}

/**
 * A function (i, depth) to the height of a cell, by the same rule as the shader; < 0 if hidden.
 *
 * depth: towards the eye in 3D, null in 1D and 2D; orderShare: part of the height that the index of
 * a cell has in 1D and 2D.
 *
 * @param {Appearance} appearance
 * @param {{ code?: Codes, flags?: Uint8Array, palette?: Uint8Array }} arrays
 * @param {number} nCells
 * @param {number} orderShare
 * @returns {(i: number, depth: number) => number}
 */
export function createHeightOf(appearance, { code: codes, flags, palette }, nCells, orderShare) {
  const levelOfCode = createLevelOfCode(appearance, palette);
  const isInteger = codes && !(codes instanceof Float32Array);
  const nCodes = isInteger ? 256 ** codes.BYTES_PER_ELEMENT : 0;
  const table = Float32Array.from({ length: nCodes }, (_, code) => levelOfCode(code));
  const contextLevel = appearance.showsContext ? CONTEXT : HIDDEN;
  const hasValues = appearance.columnKind === 2;
  return (i, depth) => {
    const flag = flags ? flags[i] : 0;
    let level = isInteger ? table[codes[i]] : levelOfCode(codes?.[i]);
    if (flag & FADED_BIT) level = FADED;
    if (flag & FILTERED_OUT_BIT) level = contextLevel;
    if (level < 0) return HIDDEN;
    const t = level > TOP ? level - TOP : 0;
    let h = 0;
    if (depth === null) h = t * (1 - orderShare) + (i / nCells) * orderShare;
    else {
      h = 0.5 + depth / 4;
      if (hasValues) h = (Math.floor(t * VALUE_BANDS) + h) / VALUE_BANDS;
    }
    return level >= TOP ? 0.5 + 0.5 * h : 0.02 + 0.12 * (level + h);
  };
}
