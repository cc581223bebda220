// Places labels so that none covers another: at its center, in one line or two or nudged a little,
// else beside it with a leader line. A leader line crosses no label and, if possible, no other leader
// line. A label for which nothing is free is left out.
//
// The result depends on nothing but the arguments, and larger categories go first, so a label keeps
// its place while the plot moves.

import { cutMiddle } from "../dom.js";
import { containsPoint, Obstacles } from "./label-obstacles.js";

/**
 * @typedef {import("./label-obstacles.js").Rectangle} Rectangle
 * @typedef {{ text: string, x: number, y: number }} Label centered at (x, y), CSS pixels
 * @typedef {{ lines: string[], half: number[] }} Shape half: of its width and its height
 * @typedef {{ index: number, lines: string[], box: Rectangle, hasLeader: boolean }} PlacedLabel
 *   index: of the label; a leader line goes from its (x, y) to the nearest point of the box
 * @typedef {{ labels: Label[], size: number[], measure: (line: string) => number,
 *   placed: PlacedLabel[], obstacles: Obstacles, retried: number[], isWaiting: Uint8Array }} Layout
 *   retried: labels that are tried at more than one place; isWaiting: those that have no place yet
 */

export const LINE_HEIGHT = 15;
const PADDING = 2;
const EDGE = 6; // pixels from the edge of the plot to a label that was moved inside
const MAX_CHARACTERS = 44; // of a label; of a longer one the middle is left out
const MIN_TO_WRAP = 10; // characters
const MAX_LINE = 24; // characters from which on two lines are better than one
const MAX_WITH_RETRIES = 250; // so many labels are tried at more than one place
// From the center of a category to that of its label, in halves of the label: it stays over the cells.
const NUDGES = [[0, 0], [0, -0.8], [0, 0.8], [0.6, 0], [-0.6, 0]];
const N_DIRECTIONS = 16; // around a center
const DISTANCES = [9, 28, 52, 84, 120]; // pixels from a center to a label beside it
const DETOUR = 25; // pixels that a label may be farther away to lie away from its neighbors, not across
const RISE = 6; // pixels that it may be farther away to lie above and not beside: in 1D cells are below
const TURN = (2 * Math.PI) / N_DIRECTIONS;
/** @type {WeakMap<(line: string) => number, Map<string, Shape[]>>} shapes of texts, by `measure` */
const knownShapes = new WeakMap();

/** Places beside a center, the best first, for each direction away from the neighbors. */
const PLACES_BESIDE = Array.from({ length: N_DIRECTIONS }, (_, away) =>
  DISTANCES.flatMap((distance) => Array.from({ length: N_DIRECTIONS }, (_direction, k) => {
    const [dx, dy] = [Math.cos(TURN * k), Math.sin(TURN * k)];
    const cost = distance + DETOUR * (1 - Math.cos(TURN * (k - away))) + RISE * (1 + dy);
    // Beside the center a label begins there; above and below it is centered.
    const sides = [dx, dy].map((part) => Math.max(-1, Math.min(1, 2 * part)));
    return { right: distance * dx, down: distance * dy, sideways: sides[0], upright: sides[1], cost };
  })).sort((a, b) => a.cost - b.cost));

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
 * @param {number} [maxShare] the part of the area that they may cover
 * @returns {PlacedLabel[]}
 */
export function placeLabels(labels, size, measure, maxShare = Infinity) {
  let room = maxShare * size[0] * size[1];
  const inside = [...labels.keys()].filter((index) => {
    const { text, x, y } = labels[index];
    if (room < 0 || !containsPoint([0, 0, size[0], size[1]], x, y)) return false;
    const [{ half }] = shapesOf(text, measure);
    room -= 4 * half[0] * half[1];
    return room >= 0;
  });
  const retried = inside.slice(0, MAX_WITH_RETRIES);
  /** @type {Layout} */
  const layout = {
    labels, size, measure, placed: [], obstacles: new Obstacles(size), retried,
    isWaiting: new Uint8Array(labels.length),
  };
  for (const index of retried) layout.isWaiting[index] = 1;
  // First those that have room at their centers, so that no leader line takes it.
  for (const index of retried) placeAtCenter(index, layout);
  for (const index of retried) if (layout.isWaiting[index]) placeBeside(index, layout);
  for (const index of inside.slice(MAX_WITH_RETRIES)) placeAtCenter(index, layout);
  return layout.placed.sort((a, b) => a.index - b.index);
}

/**
 * Places a label over its center if there is room, preferably where it covers no center of a label
 * that has no place yet.
 *
 * @param {number} index
 * @param {Layout} layout
 */
function placeAtCenter(index, layout) {
  const { text, x, y } = layout.labels[index];
  const isRetried = layout.isWaiting[index];
  const shapes = shapesOf(text, layout.measure).slice(0, isRetried ? 2 : 1);
  let best = null;
  let fewest = Infinity;
  for (const [right, down] of isRetried ? NUDGES : NUDGES.slice(0, 1)) {
    for (const { lines, half } of shapes) {
      const box = boxAt(x + right * half[0], y + down * half[1], half, layout.size);
      if (!layout.obstacles.isFree(box)) continue;
      const nCovered = countCovered(box, index, layout);
      if (nCovered < fewest) {
        best = { index, lines, box, hasLeader: false };
        fewest = nCovered;
      }
      if (!nCovered) return add(best, layout);
    }
  }
  if (best) add(best, layout);
}

/**
 * Places a label beside its center, away from its neighbors if it can.
 *
 * @param {number} index
 * @param {Layout} layout
 */
function placeBeside(index, layout) {
  const { text, x, y } = layout.labels[index];
  const { obstacles } = layout;
  const shapes = shapesOf(text, layout.measure);
  let best = null;
  let fewest = Infinity;
  for (const { right, down, sideways, upright } of PLACES_BESIDE[directionAway(index, layout.labels)]) {
    for (const { lines, half } of shapes) {
      const [centerX, centerY] = [x + right + sideways * half[0], y + down + upright * half[1]];
      const box = boxAt(centerX, centerY, half, layout.size);
      if (!obstacles.isFree(box)) continue;
      const leader = leaderOf(x, y, box);
      if (!obstacles.isLeaderFree(leader)) continue;
      const nCrossed = Number(obstacles.doesCrossLeader(leader)) + countCovered(box, index, layout);
      if (nCrossed < fewest) {
        best = { index, lines, box, hasLeader: !containsPoint(box, x, y) };
        fewest = nCrossed;
      }
      if (!nCrossed) return add(best, layout);
    }
  }
  if (best) add(best, layout);
}

/**
 * @param {PlacedLabel} place
 * @param {Layout} layout
 */
function add(place, { labels, placed, obstacles, isWaiting }) {
  const { x, y } = labels[place.index];
  placed.push(place);
  isWaiting[place.index] = 0;
  obstacles.addBox(place.box);
  if (place.hasLeader) obstacles.addLeader(leaderOf(x, y, place.box));
}

/**
 * How many other labels that have no place yet have their centers in a box.
 *
 * @param {Rectangle} box
 * @param {number} index
 * @param {Layout} layout
 */
function countCovered(box, index, { labels, retried, isWaiting }) {
  let n = 0;
  for (const i of retried) {
    if (isWaiting[i] && i !== index && containsPoint(box, labels[i].x, labels[i].y)) n++;
  }
  return n;
}

/**
 * The direction in which a label is farthest from the others, of which near ones count more; it does
 * not change when the plot moves or is zoomed.
 *
 * @param {number} index
 * @param {Label[]} labels
 */
function directionAway(index, labels) {
  const { x, y } = labels[index];
  let [right, down] = [0, 0];
  for (const other of labels.slice(0, MAX_WITH_RETRIES)) {
    const [dx, dy] = [x - other.x, y - other.y];
    const square = dx * dx + dy * dy;
    if (!square) continue;
    right += dx / square;
    down += dy / square;
  }
  return (Math.round(Math.atan2(down, right) / TURN) + N_DIRECTIONS) % N_DIRECTIONS;
}

/**
 * A text in one line and, if it is long enough, in two; the better one first.
 *
 * @param {string} text
 * @param {(line: string) => number} measure
 * @returns {Shape[]}
 */
function shapesOf(text, measure) {
  if (!knownShapes.has(measure)) knownShapes.set(measure, new Map());
  const known = knownShapes.get(measure);
  if (!known.has(text)) known.set(text, createShapes(text, measure));
  return known.get(text);
}

/**
 * @param {string} text
 * @param {(line: string) => number} measure
 * @returns {Shape[]}
 */
function createShapes(text, measure) {
  const short = cutMiddle(text, MAX_CHARACTERS);
  const wrapped = wrap(short);
  const shapes = (wrapped.length > 1 ? [[short], wrapped] : [[short]]).map((lines) => {
    const width = Math.max(...lines.map(measure));
    return { lines, half: [width / 2 + PADDING, (lines.length * LINE_HEIGHT) / 2] };
  });
  return short.length > MAX_LINE ? shapes.reverse() : shapes;
}

/**
 * A box around (x, y), moved so that it is inside `size`, and not at its edge.
 *
 * @param {number} x
 * @param {number} y
 * @param {number[]} half of its width and height
 * @param {number[]} size
 * @returns {Rectangle}
 */
function boxAt(x, y, [w, h], [width, height]) {
  const left = Math.max(w + EDGE, Math.min(width - w - EDGE, x));
  const top = Math.max(h + EDGE, Math.min(height - h - EDGE, y));
  return [left - w, top - h, left + w, top + h];
}

/**
 * The line from (x, y) to the nearest point of a box.
 *
 * @param {number} x
 * @param {number} y
 * @param {Rectangle} box
 * @returns {import("./label-obstacles.js").Line}
 */
const leaderOf = (x, y, [left, top, right, bottom]) =>
  [x, y, Math.max(left, Math.min(right, x)), Math.max(top, Math.min(bottom, y))];
