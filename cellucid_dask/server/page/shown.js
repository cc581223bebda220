// From what is wanted and loaded to what is seen: which cells, and in which colours.

import { categoryPalette, mapPalette } from "./colours.js";
import { markWithin } from "./project.js";
import { asDrawn, EDGE_SLICES } from "./scatter.js";

const COLOURS = ["canvas", "text", "soft", "missing", "cells", "accent"];
const EDGE = 0.3; // opacity of an edge where there are few

/** Colours of the theme that holds now, as [r, g, b]. */
export function theme() {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.forcedColorAdjust = "none"; // else all are one in a high contrast mode
  const found = COLOURS.map((name) => {
    probe.style.color = `var(--${name})`;
    const channels = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
    return [name, channels];
  });
  probe.remove();
  return Object.fromEntries(found);
}

/** Whether a cell is seen, as a function of its index; null where all are. */
export function visibility(column, hidden, outliers, quantile) {
  const hides = column?.categorical && hidden.size;
  const filters = column?.categorical && outliers && quantile < 1;
  if (!hides && !filters) return null;
  const off = new Uint8Array(column.missing + 1);
  const known = column.names.length;
  for (let code = 0; code <= column.missing; code++) {
    off[code] = Number(hidden.has(code < known ? code : column.missing));
  }
  const { codes } = column;
  if (!filters) return (i) => !off[codes[i]];
  const most = outliers.most(quantile);
  const { codes: far, marker } = outliers;
  return (i) => !off[codes[i]] && (far[i] <= most || far[i] >= marker);
}

/** What the scatter plot takes as its look. */
export function look({ column, outliers }, view, colours) {
  const { log, range, opacity, outliers: quantile } = view;
  const found = {
    kind: 0, opacity, ground: colours.canvas, plain: colours.cells, missing: colours.missing,
    beneath: false, filtered: [1e9, 1e9],
  };
  if (!column) return found;
  if (column.categorical) {
    if (outliers && quantile < 1) found.filtered = [outliers.most(quantile), outliers.marker];
    const last = column.rows.at(-1)?.code;
    const beneath = last === column.missing;
    return { ...found, kind: 1, beneath, decode: [0, 0, column.missing, 0] };
  }
  const { origin, step, absent, shift, lo, hi } = column;
  return {
    ...found,
    kind: 2,
    beneath: column.missing > 0,
    decode: [origin, step, absent, shift],
    range: (range ?? [lo, hi]).map((end) => column.scaled(end, log)),
    logarithmic: log,
  };
}

/** Table of colours of a column. */
export function palette(column, hidden, { map }, colours) {
  if (!column) return new Uint8Array(4);
  return column.categorical ? categoryPalette(column, hidden, colours.missing) : mapPalette(map);
}

/** A byte for each cell, 1 within any of the outlines; null without outlines. */
export async function marks(nCells, lassos, load) {
  if (!lassos.length) return null;
  const found = new Uint8Array(nCells);
  for (const { d, yaw, rise, outline } of lassos) {
    markWithin(asDrawn(await load(d), d), Math.max(2, d), { yaw, rise }, outline, found);
  }
  return found;
}

/** Pairs of cells of edges with both ends in sight, each slice of which is a fair sample. */
export function seenEdges(pairs, seen) {
  const n = pairs.length / 2;
  const found = new Uint32Array(pairs.length);
  let end = 0;
  for (let first = 0; first < EDGE_SLICES; first++) {
    for (let i = first; i < n; i += EDGE_SLICES) {
      const a = pairs[2 * i];
      const b = pairs[2 * i + 1];
      if (!seen(a) || !seen(b)) continue;
      found[end++] = a;
      found[end++] = b;
    }
  }
  return found.subarray(0, end);
}

/** Colour of edges: the more there are, the fainter. */
export function edgeColour(n, colours) {
  const opacity = Math.max(0.02, EDGE / Math.max(1, Math.sqrt(n / 5000)));
  return [...colours.soft.map((byte) => byte / 255), opacity];
}
