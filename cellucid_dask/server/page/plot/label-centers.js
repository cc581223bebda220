// Where the labels of categories belong: in the densest part of the visible cells of each.
//
// Categories have slots: the categories that get a label, in the order in which they get room.

import { averageInside, findDensestBoxes } from "./densest-boxes.js";
import { findUsualLimits } from "./fit.js";
import { FADED_BIT, FILTERED_OUT_BIT } from "./heights.js";

/**
 * @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn
 * @typedef {{ points: Float32Array, width: number, dimension: number }} Embedding
 *   (n, width) points as drawn, between -1 and 1
 * @typedef {{ code: number, position: number[], isFaded: boolean }} Center
 *   faded: its cells are filtered out or not selected
 * @typedef {{ codes: number[], counts: number[], isFaded: boolean[], slotOfCell: Int16Array }} Slots
 *   by slot: code, number of cells, whether it is faded; and the slot of every cell, or -1
 * @typedef {{ sums: Float64Array, squares: Float64Array }} Moments
 *   of the positions, (n_slots, dimension)
 */

const MAX_CENTERS = 3000;
const ROW_HEIGHT = 0.15; // of labels in 1D: above the band of cells
const MIN_SELECTED = 0.1; // share from which on a category counts as selected
const MIN_EXPLAINED = 0.2; // share of the variance of the positions that separate categories explain

/**
 * Centers of the categories that have cells: those that are not faded first, then the largest.
 *
 * @param {CategoricalColumn} column
 * @param {Embedding} embedding
 * @param {Uint8Array | null} flags of the cells, as in heights.js; null if all are visible
 * @param {boolean} showsContext whether cells that are filtered out are drawn
 * @returns {Center[]}
 */
export function findCenters(column, embedding, flags, showsContext) {
  const slots = assignSlots(column, flags, showsContext);
  const moments = sumMoments(slots, embedding);
  const boxes = findDensestBoxes(slots, moments, embedding);
  const means = averageInside(boxes, slots, embedding);
  return slots.codes.map((code, slot) => ({
    code,
    position: embedding.dimension === 1 ? [means[slot][0], ROW_HEIGHT] : means[slot],
    isFaded: slots.isFaded[slot],
  }));
}

/**
 * Whether the categories of a column lie on each other, as donors of the same tissue do: then labels
 * would say nothing. By the share of the variance of the positions that the categories explain,
 * adjusted for their number. Stray cells do not count: one far cell has more variance than all others.
 *
 * @param {CategoricalColumn} column
 * @param {Embedding} embedding
 */
export function doCategoriesOverlap(column, embedding) {
  const slots = assignSlots(column, null, false);
  dropStrayCells(slots, embedding);
  const { sums, squares } = sumMoments(slots, embedding);
  const { counts } = slots;
  const { dimension: d } = embedding;
  const n = counts.reduce((sum, count) => sum + count, 0);
  let [within, total] = [0, 0];
  for (let axis = 0; axis < d; axis++) {
    let sum = 0;
    counts.forEach((count, slot) => {
      sum += sums[d * slot + axis];
      total += squares[d * slot + axis];
      if (count) within += squares[d * slot + axis] - sums[d * slot + axis] ** 2 / count;
    });
    total -= sum ** 2 / n;
  }
  const k = counts.filter((count) => count > 0).length;
  if (k < 2 || n <= k || total <= 0) return false;
  return 1 - within / (n - k) / (total / (n - 1)) < MIN_EXPLAINED;
}

/**
 * Takes the cells out of their slots that are far outside of where nearly all cells are.
 *
 * @param {Slots} slots
 * @param {Embedding} embedding
 */
function dropStrayCells({ counts, slotOfCell }, { points, width, dimension: d }) {
  const limits = findUsualLimits(points, width).slice(0, d);
  limits.forEach(([low, high], axis) => {
    for (let i = 0; i < slotOfCell.length; i++) {
      const x = points[width * i + axis];
      if ((x >= low && x <= high) || slotOfCell[i] < 0) continue;
      counts[slotOfCell[i]]--;
      slotOfCell[i] = -1;
    }
  });
}

/**
 * Which cells stand for each category: the visible ones, else those that are drawn as context.
 *
 * @param {CategoricalColumn} column
 * @param {Uint8Array | null} flags
 * @param {boolean} showsContext
 * @returns {Slots}
 */
function assignSlots({ codes, missingCode, names }, flags, showsContext) {
  const counts = countByFlag(codes, missingCode, flags);
  const nSelected = counts.selected.reduce((sum, count) => sum + count, 0);
  const usable = names.map((_, code) => {
    const isContext = !counts.visible[code];
    const count = isContext && showsContext ? counts.hidden[code] : counts.visible[code];
    const isSelected = counts.selected[code] >= MIN_SELECTED * counts.visible[code]
      || (nSelected > 0 && counts.selected[code] >= MIN_SELECTED * nSelected);
    return { code, count, isContext, isFaded: isContext || !isSelected };
  }).filter(({ count }) => count);
  usable.sort((a, b) => Number(a.isFaded) - Number(b.isFaded)
    || Number(a.isContext) - Number(b.isContext) || b.count - a.count || a.code - b.code);
  const chosen = usable.slice(0, MAX_CENTERS);
  const visibleSlots = new Int16Array(missingCode + 1).fill(-1); // by code
  const contextSlots = visibleSlots.slice();
  chosen.forEach(({ code, isContext }, slot) => {
    (isContext ? contextSlots : visibleSlots)[code] = slot;
  });
  const slotOfCell = new Int16Array(codes.length);
  for (let i = 0; i < codes.length; i++) {
    const isContext = flags && flags[i] & FILTERED_OUT_BIT;
    slotOfCell[i] = (isContext ? contextSlots : visibleSlots)[codes[i]];
  }
  return {
    codes: chosen.map(({ code }) => code),
    counts: chosen.map(({ count }) => count),
    isFaded: chosen.map(({ isFaded }) => isFaded),
    slotOfCell,
  };
}

/**
 * Numbers of cells by code: that are visible, of these the selected ones, and filtered out.
 *
 * @param {import("../data/columns.js").Codes} codes
 * @param {number} missingCode
 * @param {Uint8Array | null} flags
 */
function countByFlag(codes, missingCode, flags) {
  const [visible, selected, hidden] = [0, 1, 2].map(() => new Uint32Array(missingCode + 1));
  for (let i = 0; i < codes.length; i++) {
    const flag = flags ? flags[i] : 0;
    if (flag & FILTERED_OUT_BIT) hidden[codes[i]]++;
    else {
      visible[codes[i]]++;
      if (!(flag & FADED_BIT)) selected[codes[i]]++;
    }
  }
  return { visible, selected, hidden };
}

/**
 * @param {Slots} slots
 * @param {Embedding} embedding
 * @returns {Moments}
 */
function sumMoments({ codes, slotOfCell }, { points, width, dimension: d }) {
  const sums = new Float64Array(codes.length * d);
  const squares = new Float64Array(codes.length * d);
  for (let i = 0; i < slotOfCell.length; i++) {
    const slot = slotOfCell[i];
    if (slot < 0) continue;
    for (let axis = 0; axis < d; axis++) {
      const x = points[width * i + axis];
      sums[d * slot + axis] += x;
      squares[d * slot + axis] += x * x;
    }
  }
  return { sums, squares };
}
