// Parts of a link as text, and back: numbers, codes, outlines.

const MAX_CODE = 65535;

/**
 * Rounds to 6 digits, enough for outlines and ranges.
 *
 * @param {number} x
 */
export const round6 = (x) => Number(x.toPrecision(6));

/**
 * "0-3,7" of [0, 1, 2, 3, 7].
 *
 * @param {number[]} codes
 */
export function formatCodes(codes) {
  const sorted = [...codes].sort((a, b) => a - b);
  /** @type {[number, number][]} */
  const runs = [];
  for (const code of sorted) {
    const last = runs.at(-1);
    if (last && last[1] === code - 1) last[1] = code;
    else runs.push([code, code]);
  }
  return runs.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(",");
}

/**
 * The codes of "0-3,7"; null if a part is not a code.
 *
 * @param {string} text
 */
export function parseCodes(text) {
  const isListed = new Uint8Array(MAX_CODE + 1); // a link may name a code many times
  for (const part of text ? text.split(",") : []) {
    if (!/^\d{1,5}(-\d{1,5})?$/.test(part)) return null;
    const [first, last = first] = part.split("-").map(Number);
    if (first > last) return null;
    isListed.fill(1, first, last + 1);
  }
  return [...isListed.keys()].filter((code) => isListed[code]);
}

/** @param {string} text */
export const parseNumbers = (text) =>
  text.split(",").map((part) => (part.trim() ? Number(part) : NaN));

/**
 * Finite numbers, as many as one of `lengths` says; else null.
 *
 * @param {string} text
 * @param {number[]} lengths
 */
export function parseFinite(text, ...lengths) {
  const numbers = parseNumbers(text);
  return lengths.includes(numbers.length) && numbers.every(Number.isFinite) ? numbers : null;
}

/**
 * @param {string} text
 * @param {number} low
 * @param {number} high
 */
export function parseBetween(text, low, high) {
  const [value] = parseNumbers(text);
  return value >= low && value <= high ? value : null;
}

/**
 * "2,0,0,x,y,..."; "-" before it if it takes cells out; an embedding that is not the default one of
 * its dimension is at the end.
 *
 * @param {import("../ask/filters.js").Lasso} lasso
 */
export function formatLasso({ d, embedding, yaw, pitch, outline, removes }) {
  const numbers = (removes ? "-" : "") + [d, yaw, pitch, ...outline.flat()].map(round6).join();
  return embedding ? `${numbers}@${encodeURIComponent(embedding)}` : numbers;
}

/** @param {string} text */
export function parseLasso(text) {
  const removes = text.startsWith("-");
  const [numbers, name = ""] = (removes ? text.slice(1) : text).split("@");
  const [d, yaw, pitch, ...flat] = parseNumbers(numbers);
  const isUsable = [1, 2, 3].includes(d) && flat.length >= 6 && flat.length % 2 === 0;
  if (!isUsable || ![yaw, pitch, ...flat].every(Number.isFinite)) return null;
  /** @type {[number, number][]} */
  const outline = Array.from(
    { length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
  try {
    const lasso = { d, embedding: decodeURIComponent(name), yaw, pitch, outline };
    return removes ? { ...lasso, removes } : lasso;
  } catch {
    return null; // not UTF-8
  }
}

/** @param {string} text */
export function parseViewpoint(text) {
  const numbers = parseFinite(text, 3, 5);
  return numbers && numbers[2] >= 0.2 && numbers[2] <= 2000 ? numbers : null;
}
