// Places labels so that none covers another: at its center, else in two lines, else beside it with a
// leader line. A label for which nothing is free is left out.
//
// The result depends on nothing but the arguments, and larger categories go first, so a label keeps
// its place while the plot moves.

import { cutMiddle } from "../dom.js";

/**
 * @typedef {{ text: string, x: number, y: number }} Label centered at (x, y), CSS pixels
 * @typedef {[number, number, number, number]} Rectangle left, top, right, bottom
 * @typedef {{ index: number, lines: string[], box: Rectangle, hasLeader: boolean }} PlacedLabel
 *   index: of the label; a leader line goes from its (x, y) to the box
 */

export const LINE_HEIGHT = 15;
const PADDING = 2;
const MAX_CHARACTERS = 44; // of a label; of a longer one the middle is left out
const MIN_TO_WRAP = 10; // characters
const MAX_LINE = 24; // characters from which on two lines are better than one
const MAX_WITH_RETRIES = 250; // so many labels are tried at more than one place
const DIRECTIONS = [[0, -1], [0, 1], [1, 0], [-1, 0], [1, -1], [-1, -1], [1, 1], [-1, 1]];
const DISTANCES = [9, 32, 64, 100]; // pixels from the center of a category to a label beside it
const CELL = [96, 32]; // width and height of the cells of the grid in `Rectangles`

/**
 * Two lines of about the same length, broken after a space or a sign, else in the middle; one line
 * of a short text.
 *
 * @param {string} text
 * @returns {string[]}
 */
export function wrap(text) {
  if (text.length < MIN_TO_WRAP) return [text];
  const middle = text.length / 2;
  let best = 0;
  for (let at = 3; at <= text.length - 3; at++) {
    if (!/[\s_/,;:|+-]/.test(text[at - 1])) continue;
    if (!best || Math.abs(at - middle) < Math.abs(best - middle)) best = at;
  }
  if (!best && text.length < 2 * MIN_TO_WRAP) return [text];
  best ||= Math.round(middle);
  return [text.slice(0, best).trim(), text.slice(best).trim()];
}

/**
 * Places labels, the most important first, inside `size`; leaves out those whose center is outside.
 *
 * @param {Label[]} labels
 * @param {number[]} size width and height, CSS pixels
 * @param {(line: string) => number} measure width of a line
 * @returns {PlacedLabel[]}
 */
export function placeLabels(labels, size, measure) {
  const taken = new Rectangles();
  /** @type {PlacedLabel[]} */
  const placed = [];
  let nTried = 0;
  labels.forEach(({ text, x, y }, index) => {
    if (x < 0 || y < 0 || x > size[0] || y > size[1]) return;
    const isRetried = nTried++ < MAX_WITH_RETRIES;
    for (const place of possiblePlaces(text, x, y, size, measure)) {
      if (taken.isFree(place.box)) {
        taken.add(place.box);
        placed.push({ index, ...place });
        return;
      }
      if (!isRetried) return;
    }
  });
  return placed;
}

/**
 * Places for a label, the best first: at its center, then beside it.
 *
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {number[]} size
 * @param {(line: string) => number} measure
 * @returns {Generator<{ lines: string[], box: Rectangle, hasLeader: boolean }>}
 */
function* possiblePlaces(text, x, y, size, measure) {
  const short = cutMiddle(text, MAX_CHARACTERS);
  const single = [short];
  const double = wrap(short);
  const shapes = double.length > 1 ? [single, double] : [single];
  if (short.length > MAX_LINE) shapes.reverse();
  for (const lines of shapes) {
    yield { lines, box: boxAt(x, y, halfSize(lines, measure), size), hasLeader: false };
  }
  for (const distance of DISTANCES) {
    for (const lines of shapes) {
      const half = halfSize(lines, measure);
      for (const [dx, dy] of DIRECTIONS) {
        const step = dx && dy ? 0.7 * distance : distance;
        const [left, top] = [x + dx * (half[0] + step), y + dy * (half[1] + step)];
        yield { lines, box: boxAt(left, top, half, size), hasLeader: true };
      }
    }
  }
}

/**
 * Half of the width and of the height of lines of text.
 *
 * @param {string[]} lines
 * @param {(line: string) => number} measure
 */
function halfSize(lines, measure) {
  const width = Math.max(...lines.map(measure));
  return [width / 2 + PADDING, (lines.length * LINE_HEIGHT) / 2];
}

/**
 * A box around (x, y), moved so that it is inside `size`.
 *
 * @param {number} x
 * @param {number} y
 * @param {number[]} half of its width and height
 * @param {number[]} size
 * @returns {Rectangle}
 */
function boxAt(x, y, [w, h], [width, height]) {
  const left = Math.max(w, Math.min(width - w, x));
  const top = Math.max(h, Math.min(height - h, y));
  return [left - w, top - h, left + w, top + h];
}

/** Rectangles, and whether another one is free of them; a grid keeps the search short. */
class Rectangles {
  /** @type {Map<number, Rectangle[]>} */
  #cells = new Map();

  /** @param {Rectangle} box */
  add(box) {
    for (const key of this.#keysOf(box)) {
      const cell = this.#cells.get(key);
      if (cell) cell.push(box);
      else this.#cells.set(key, [box]);
    }
  }

  /** @param {Rectangle} box */
  isFree(box) {
    const [left, top, right, bottom] = box;
    return this.#keysOf(box).every((key) => !this.#cells.get(key)?.some((other) =>
      left <= other[2] && right >= other[0] && top <= other[3] && bottom >= other[1]));
  }

  /** @param {Rectangle} box */
  #keysOf([left, top, right, bottom]) {
    const keys = [];
    for (let row = Math.floor(top / CELL[1]); row <= bottom / CELL[1]; row++) {
      for (let at = Math.floor(left / CELL[0]); at <= right / CELL[0]; at++) {
        keys.push(row * 1024 + at);
      }
    }
    return keys;
  }
}
