// From the view and the loaded data to what is drawn: which cells are visible, in which colors.

import { CategoricalColumn } from "../data/columns.js";
import { EDGE_SLICES } from "../plot/renderer.js";
import { colormapPalette } from "./colormaps.js";
import { categoryPalette } from "./palette.js";
import { hasOneColor, shownRange } from "./value-range.js";

const THEME_COLORS = [ // CSS variables
  "canvas", "text", "muted", "missing", "zero", "context", "cells", "accent",
];
const MAX_EDGE_OPACITY = 0.3;
const MIN_EDGE_OPACITY = 0.02;
const FEW_EDGES = 5000; // up to here edges have the largest opacity

/** @typedef {import("../data/columns.js").Column} Column */

/**
 * Colors of a theme by name, as [r, g, b].
 *
 * @param {string} [scheme] "light" or "dark"; without it the current theme
 * @returns {Record<string, number[]>}
 */
export function readThemeColors(scheme = "") {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.colorScheme = scheme;
  probe.style.forcedColorAdjust = "none"; // else all colors are the same in high contrast mode
  const colors = THEME_COLORS.map((name) => {
    probe.style.color = `var(--${name})`;
    const channels = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
    return [name, channels];
  });
  probe.remove();
  return Object.fromEntries(colors);
}

/**
 * The appearance that the scatter plot takes; `colors` are those of the theme.
 *
 * @param {Column | null} column
 * @param {import("../link/link.js").View} view
 * @param {Record<string, import("./rgb.js").Rgb>} colors of the theme
 */
export function cellAppearance(column, view, colors) {
  const { log, opacity, context } = view;
  const appearance = {
    columnKind: 0, opacity, background: colors.canvas, plain: colors.cells,
    missing: colors.missing, hasMissing: false, context: colors.context,
    showsContext: context === "grey", zero: colors.zero, zeroCode: -1,
  };
  if (!column) return appearance;
  const { missingCode } = column;
  if (column instanceof CategoricalColumn) {
    const hasMissing = column.categories.at(-1)?.code === missingCode;
    return { ...appearance, columnKind: 1, hasMissing, decoding: [0, 0, missingCode, 0] };
  }
  const { origin, step, logShift, zeroCode } = column;
  const range = shownRange(column, view).map((end) => column.toScale(end, log));
  // The graphics card's logarithm may be a little above the only one; the range has room for it.
  if (hasOneColor(column, view)) range[1] += 1;
  return {
    ...appearance,
    columnKind: 2,
    hasMissing: column.missingCount > 0,
    decoding: [origin, step, missingCode, logShift],
    range,
    useLog: log,
    zeroCode,
  };
}

/**
 * RGBA bytes of the codes of a column.
 *
 * @param {Column | null} column
 * @param {import("../link/link.js").View} view
 * @param {Record<string, import("./rgb.js").Rgb>} colors of the theme
 */
export function columnPalette(column, view, colors) {
  if (!column) return new Uint8Array(4);
  return column instanceof CategoricalColumn
    ? categoryPalette(column, view.colors, colors.missing) : colormapPalette(view.map, colors.canvas);
}

/**
 * The pairs whose two cells are visible, in an order in which each slice is an even sample.
 *
 * @param {Uint32Array} pairs
 * @param {(i: number) => boolean} isVisible
 */
export function visibleEdges(pairs, isVisible) {
  const n = pairs.length / 2;
  const visible = new Uint32Array(pairs.length);
  let end = 0;
  for (let first = 0; first < EDGE_SLICES; first++) {
    for (let i = first; i < n; i += EDGE_SLICES) {
      const source = pairs[2 * i];
      const destination = pairs[2 * i + 1];
      if (!isVisible(source) || !isVisible(destination)) continue;
      visible[end++] = source;
      visible[end++] = destination;
    }
  }
  return visible.subarray(0, end);
}

/**
 * RGBA of edges, 0 to 1: the more edges, the fainter.
 *
 * @param {number} nEdges
 * @param {Record<string, import("./rgb.js").Rgb>} colors of the theme
 */
export function edgeColor(nEdges, colors) {
  const faintness = Math.max(1, Math.sqrt(nEdges / FEW_EDGES));
  const opacity = Math.max(MIN_EDGE_OPACITY, MAX_EDGE_OPACITY / faintness);
  return [...colors.muted.map((byte) => byte / 255), opacity];
}
