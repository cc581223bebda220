// Colormaps: colors of values, as palettes (tables of RGBA bytes) in which the shader looks up a
// value.

import { contrast, cssColor, luminance, parseHex } from "./rgb.js";

/** @param {string} text */
const parseColors = (text) => text.split(" ").map(parseHex);
// 17 colors at equal steps of the colormap of the same name in matplotlib (cividis: Nuñez 2018;
// viridis, magma, plasma: Smith and van der Walt 2015; coolwarm: Moreland 2009). People with color
// blindness can read all of them.
/** @type {Record<string, import("./rgb.js").Rgb[]>} */
const COLORMAPS = {
  viridis: parseColors(
    "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 " +
    "3fbc73 5ec962 84d44b addc30 d8e219 fde725",
  ),
  cividis: parseColors(
    "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 " +
    "aba072 bcae6c cdbb63 dec958 f0d846 fee838",
  ),
  magma: parseColors(
    "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 " +
    "f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf",
  ),
  plasma: parseColors(
    "0d0887 310597 4c02a1 6600a7 7e03a8 9511a1 aa2395 bc3587 cc4778 da5a6a e66c5c " +
    "f0804e f89540 fdac33 fdc527 f8df25 f0f921",
  ),
  coolwarm: parseColors(
    "3b4cc0 4e68d8 6282ea 779af7 8db0fe a3c2fe b9d0f9 ccd9ed dddcdc ecd3c5 f5c4ac " +
    "f7b093 f4987a eb7d62 dd5f4b ca3b37 b40426",
  ),
  greys: parseColors("e6e6e6 111111"),
};

const MIN_CONTRAST = 2; // of a color to a dark ground; that of context is 1.2, of cells at 0 1.7
const MAX_DARK = 0.2; // luminance of a dark ground

const DIVERGING = ["coolwarm"];

export const COLORMAP_NAMES = Object.keys(COLORMAPS);

/**
 * Whether the middle of a colormap stands for 0.
 *
 * @param {string} name
 */
export const isDiverging = (name) => DIVERGING.includes(name);

/**
 * [r, g, b] of a colormap at `t` from 0 to 1, interpolated between its `stops`.
 *
 * @param {import("./rgb.js").Rgb[]} stops
 * @param {number} t
 */
function interpolate(stops, t) {
  const at = Math.min(t * (stops.length - 1), stops.length - 1.001);
  const next = stops[Math.floor(at) + 1];
  return stops[Math.floor(at)].map((from, i) => Math.round(from + (at % 1) * (next[i] - from)));
}

/**
 * The colors of a colormap at equal steps, as cells on a ground have them.
 *
 * On a dark ground, a map begins and ends where its colors stand out from the ground; on a light
 * one it is whole, as people know it from print.
 *
 * @param {string} name
 * @param {import("./rgb.js").Rgb} ground
 */
function stopsOn(name, ground) {
  const stops = COLORMAPS[name];
  if (luminance(ground) > MAX_DARK) return stops;
  const levels = Array.from({ length: 256 }, (_, i) => interpolate(stops, i / 255));
  const isSeen = (/** @type {import("./rgb.js").Rgb} */ rgb) => contrast(rgb, ground) >= MIN_CONTRAST;
  const [start, end] = [levels.findIndex(isSeen), levels.findLastIndex(isSeen)];
  const last = COLORMAPS.viridis.length - 1;
  return Array.from({ length: last + 1 }, (_, i) =>
    interpolate(stops, (start + ((end - start) * i) / last) / 255));
}

/**
 * CSS image of a colormap that runs from `start` to `end` (0 to 1) of the width of its box.
 *
 * @param {string} name
 * @param {import("./rgb.js").Rgb} ground
 */
export function colormapGradient(name, ground, start = 0, end = 1) {
  const stops = colormapStops(name, ground)
    .map(([offset, color]) => `${color} ${100 * (start + (end - start) * offset)}%`);
  return `linear-gradient(to right, ${stops})`;
}

/**
 * [[offset from 0 to 1, CSS color], ...] of a colormap.
 *
 * @param {string} name
 * @param {import("./rgb.js").Rgb} ground
 * @returns {[number, string][]}
 */
export const colormapStops = (name, ground) =>
  stopsOn(name, ground).map((rgb, i, { length }) => [i / (length - 1), cssColor(rgb)]);

/**
 * RGBA bytes of 256 levels of a colormap.
 *
 * @param {string} name
 * @param {import("./rgb.js").Rgb} ground
 */
export function colormapPalette(name, ground) {
  const stops = stopsOn(name, ground);
  const table = new Uint8Array(4 * 256);
  for (let i = 0; i < 256; i++) table.set([...interpolate(stops, i / 255), 255], 4 * i);
  return table;
}
