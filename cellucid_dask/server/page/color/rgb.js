// Colors as [r, g, b], bytes, and how CSS and links spell them.

/**
 * @typedef {number[]} Rgb three bytes
 */

/**
 * [r, g, b] of "rrggbb" or "#rrggbb".
 *
 * @param {string} hex
 * @returns {Rgb}
 */
export function parseHex(hex) {
  return [-6, -4, -2].map((at) => parseInt(hex.slice(at, at + 2 || undefined), 16));
}

/**
 * "#rrggbb", as color inputs and links have it.
 *
 * @param {Rgb} rgb
 */
export const formatHex = (rgb) =>
  `#${rgb.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

/** @param {Rgb} rgb */
export const cssColor = (rgb) => `rgb(${rgb.join(" ")})`;
