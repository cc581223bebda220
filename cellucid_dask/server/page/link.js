// The whole state of the page as text for the end of a link, and back.

import { MAP_NAMES } from "./colours.js";

/** What is seen where a link says nothing. */
export const START = Object.freeze({
  dataset: null, d: 0, color: null, hide: [], outliers: 1, range: null, log: false, map: "viridis",
  labels: true, vectors: "", edges: false, size: null, opacity: 1, theme: "", at: null, lasso: [],
});
const MOST_HIDDEN = 65535;

/** A number with as many digits as an outline needs. */
export const short = (x) => Number(x.toPrecision(6));

/** And as a view needs, that edges and arrows are drawn at the same pixels. */
const exact = (x) => Number(x.toPrecision(10));

/** "0-3,7" of [0, 1, 2, 3, 7]. */
function ranges(codes) {
  const sorted = [...codes].sort((a, b) => a - b);
  const runs = [];
  for (const code of sorted) {
    const last = runs.at(-1);
    if (last && last[1] === code - 1) last[1] = code;
    else runs.push([code, code]);
  }
  return runs.map(([a, b]) => (a === b ? a : `${a}-${b}`)).join(",");
}

function codes(text) {
  const hidden = new Uint8Array(MOST_HIDDEN + 1); // however often a link names a code
  for (const part of text.split(",")) {
    if (!/^\d{1,5}(-\d{1,5})?$/.test(part)) continue;
    const [first, last = first] = part.split("-").map(Number);
    hidden.fill(1, first, last + 1);
  }
  return [...hidden.keys()].filter((code) => hidden[code]);
}

const numbers = (text) => text.split(",").map((part) => (part.trim() ? Number(part) : NaN));

/** `values` where they are so many finite numbers, else null. */
function finite(text, ...lengths) {
  const found = numbers(text);
  return lengths.includes(found.length) && found.every(Number.isFinite) ? found : null;
}

function within(text, low, high) {
  const [value] = numbers(text);
  return value >= low && value <= high ? value : null;
}

function lasso(text) {
  const [d, yaw, rise, ...flat] = numbers(text);
  const usable = [1, 2, 3].includes(d) && flat.length >= 6 && flat.length % 2 === 0;
  if (!usable || ![yaw, rise, ...flat].every(Number.isFinite)) return null;
  const outline = Array.from({ length: flat.length / 2 }, (_, i) => flat.slice(2 * i, 2 * i + 2));
  return { d, yaw, rise, outline };
}

function camera(text) {
  const found = finite(text, 3, 5);
  return found && found[2] >= 0.2 && found[2] <= 2000 ? found : null;
}

/** How each part is written, and read: null for what cannot be used. */
const PARTS = {
  dataset: [String, String],
  d: [String, (text) => (/^[123]$/.test(text) ? Number(text) : null)],
  color: [String, String],
  hide: [ranges, codes],
  outliers: [String, (text) => within(text, 0, 1)],
  range: [(ends) => ends.map(short).join(), (text) => {
    const ends = finite(text, 2);
    return ends && ends[0] < ends[1] ? ends : null;
  }],
  log: [Number, (text) => text === "1"],
  map: [String, (text) => (MAP_NAMES.includes(text) ? text : null)],
  labels: [Number, (text) => text !== "0"],
  vectors: [String, String],
  edges: [Number, (text) => text === "1"],
  size: [String, (text) => within(text, 0.5, 15)],
  opacity: [String, (text) => within(text, 0.05, 1)],
  theme: [String, (text) => (["light", "dark"].includes(text) ? text : null)],
  at: [(found) => found.map(exact).join(), camera],
};

/** What is not as at the start, as "d=2&color=gene:CD3E". */
export function write(view) {
  const found = new URLSearchParams();
  for (const [name, [print]] of Object.entries(PARTS)) {
    const value = view[name];
    const usual = value === START[name] || (Array.isArray(value) && !value.length);
    if (!usual && value !== null) found.set(name, print(value));
  }
  for (const { d, yaw, rise, outline } of view.lasso) {
    found.append("lasso", [d, yaw, rise, ...outline.flat()].map(short).join());
  }
  return String(found).replaceAll("%3A", ":").replaceAll("%2C", ",");
}

/** The view that a text tells of; what it does not say, or says wrongly, is as at the start. */
export function read(text) {
  const view = { ...START };
  const found = new URLSearchParams(text);
  for (const [name, [, parse]] of Object.entries(PARTS)) {
    if (found.has(name)) view[name] = parse(found.get(name)) ?? START[name];
  }
  view.lasso = found.getAll("lasso").map(lasso).filter(Boolean);
  return view;
}
