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

/**
 * A part of one color over another.
 *
 * @param {Rgb} ground
 * @param {Rgb} rgb
 * @param {number} share of `rgb`
 * @returns {Rgb}
 */
export const mixRgb = (ground, rgb, share) =>
  ground.map((byte, i) => Math.round(byte + share * (rgb[i] - byte)));

/**
 * Relative luminance as in WCAG, 0 for black to 1 for white.
 *
 * @param {Rgb} rgb
 */
export function luminance(rgb) {
  const [r, g, b] = rgb.map((byte) => {
    const share = byte / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/**
 * Contrast of two colors as in WCAG, from 1 to 21.
 *
 * @param {Rgb} a
 * @param {Rgb} b
 */
export function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}
