// The whole view as text for the end of a link, and back. Links are shared and kept: the names of
// the parts never change.

import { COLORMAP_NAMES } from "../color/colormaps.js";
import { formatEditedColors, parseEditedColors } from "./edited-colors.js";

/** The view of a link that says nothing. */
export const DEFAULT_VIEW = Object.freeze({
  dataset: null, d: 0, color: null, hide: [], outliers: 1, range: null, log: false, map: "viridis",
  labels: true, vectors: "", edges: false, size: null, opacity: 1, theme: "", at: null, lasso: [],
  colors: Object.freeze({}),
});
const MAX_HIDDEN_CODE = 65535;

/** Rounds to 6 digits, enough for outlines and ranges. */
export const round6 = (x) => Number(x.toPrecision(6));

/** Rounds to 10 digits, so that the edges and arrows of a viewpoint fall on the same pixels. */
const round10 = (x) => Number(x.toPrecision(10));

/** "0-3,7" of [0, 1, 2, 3, 7]. */
function formatCodes(codes) {
  const sorted = [...codes].sort((a, b) => a - b);
  const runs = [];
  for (const code of sorted) {
    const last = runs.at(-1);
    if (last && last[1] === code - 1) last[1] = code;
    else runs.push([code, code]);
  }
  return runs.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(",");
}

function parseCodes(text) {
  const isListed = new Uint8Array(MAX_HIDDEN_CODE + 1); // a link may name a code many times
  for (const part of text.split(",")) {
    if (!/^\d{1,5}(-\d{1,5})?$/.test(part)) continue;
    const [first, last = first] = part.split("-").map(Number);
    isListed.fill(1, first, last + 1);
  }
  return [...isListed.keys()].filter((code) => isListed[code]);
}

const parseNumbers = (text) =>
  text.split(",").map((part) => (part.trim() ? Number(part) : NaN));

/** Finite numbers, as many as one of `lengths` says; else null. */
function parseFinite(text, ...lengths) {
  const numbers = parseNumbers(text);
  return lengths.includes(numbers.length) && numbers.every(Number.isFinite) ? numbers : null;
}

function parseBetween(text, low, high) {
  const [value] = parseNumbers(text);
  return value >= low && value <= high ? value : null;
}

function parseLasso(text) {
  const [d, yaw, pitch, ...flat] = parseNumbers(text);
  const isUsable = [1, 2, 3].includes(d) && flat.length >= 6 && flat.length % 2 === 0;
  if (!isUsable || ![yaw, pitch, ...flat].every(Number.isFinite)) return null;
  const outline = Array.from({ length: flat.length / 2 }, (_, i) => flat.slice(2 * i, 2 * i + 2));
  return { d, yaw, pitch, outline };
}

function parseViewpoint(text) {
  const numbers = parseFinite(text, 3, 5);
  return numbers && numbers[2] >= 0.2 && numbers[2] <= 2000 ? numbers : null;
}

/** [format, parse] of each part; `parse` returns null for what cannot be used. */
const PARTS = {
  dataset: [String, String],
  d: [String, (text) => (/^[123]$/.test(text) ? Number(text) : null)],
  color: [String, String],
  hide: [formatCodes, parseCodes],
  outliers: [String, (text) => parseBetween(text, 0, 1)],
  range: [(ends) => ends.map(round6).join(), (text) => {
    const ends = parseFinite(text, 2);
    return ends && ends[0] < ends[1] ? ends : null;
  }],
  log: [Number, (text) => text === "1"],
  map: [String, (text) => (COLORMAP_NAMES.includes(text) ? text : null)],
  labels: [Number, (text) => text !== "0"],
  vectors: [String, String],
  edges: [Number, (text) => text === "1"],
  size: [String, (text) => parseBetween(text, 0.5, 15)],
  opacity: [String, (text) => parseBetween(text, 0.05, 1)],
  theme: [String, (text) => (["light", "dark"].includes(text) ? text : null)],
  at: [(viewpoint) => viewpoint.map(round10).join(), parseViewpoint],
};

/** The parts that differ from the default view, as "d=2&color=gene:CD3E". */
export function formatView(view) {
  const parameters = new URLSearchParams();
  for (const [name, [format]] of Object.entries(PARTS)) {
    const value = view[name];
    const isDefault = value === DEFAULT_VIEW[name] || (Array.isArray(value) && !value.length);
    if (!isDefault && value !== null) parameters.set(name, format(value));
  }
  for (const { d, yaw, pitch, outline } of view.lasso) {
    const numbers = [d, yaw, pitch, ...outline.flat()];
    parameters.append("lasso", numbers.map(round6).join());
  }
  for (const part of formatEditedColors(view.colors)) parameters.append("colors", part);
  return String(parameters).replaceAll("%3A", ":").replaceAll("%2C", ",");
}

/** The view of a text; parts that are absent or not valid have their default. */
export function parseView(text) {
  const view = { ...DEFAULT_VIEW };
  const parameters = new URLSearchParams(text);
  for (const [name, [, parse]] of Object.entries(PARTS)) {
    if (parameters.has(name)) view[name] = parse(parameters.get(name)) ?? DEFAULT_VIEW[name];
  }
  view.lasso = parameters.getAll("lasso").map(parseLasso).filter(Boolean);
  view.colors = parseEditedColors(parameters.getAll("colors"));
  return view;
}
