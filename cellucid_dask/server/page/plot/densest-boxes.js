// Where the cells of each category are densest.
//
// The mean of a category may lie between two islands of its cells, or inside a crescent of them. So
// cells are counted in the bins of a grid, and what counts is the bin with the most cells near it.

/**
 * @typedef {import("./label-centers.js").Slots} Slots
 * @typedef {import("./label-centers.js").Moments} Moments
 * @typedef {import("./label-centers.js").Embedding} Embedding
 * @typedef {{ center: number[], reach: number }} Box
 *   reach: half of the length of a side
 */

const MAX_BINS = 1 << 22; // of all slots together
const MAX_BINS_PER_SIDE = [0, 256, 32, 16]; // by dimension
const BLUR = 0.4; // radius of the neighborhood of a bin, as a share of the spread of the cells
const MIN_DENSITY = 0.7; // share of the largest density that is enough at the mean

/**
 * A box for every slot, around which its cells are densest.
 *
 * @param {Slots} slots
 * @param {Moments} moments
 * @param {Embedding} embedding
 * @returns {Box[]}
 */
export function findDensestBoxes(slots, { sums, squares }, embedding) {
  const { dimension: d } = embedding;
  const { counts } = slots;
  const most = Math.floor((MAX_BINS / Math.max(1, counts.length)) ** (1 / d));
  const side = Math.min(MAX_BINS_PER_SIDE[d], most);
  const bins = countInBins(slots, embedding, side);
  const binWidth = 2 / side;
  return counts.map((count, slot) => {
    const axes = Array.from({ length: d }, (_, axis) => d * slot + axis);
    const mean = axes.map((at) => sums[at] / count);
    const variance = axes.reduce((v, at, axis) => v + squares[at] / count - mean[axis] ** 2, 0);
    const spread = Math.sqrt(Math.max(0, variance) / d);
    const near = bins.subarray(slot * side ** d, (slot + 1) * side ** d);
    const radius = Math.min(side >> 2, Math.round((BLUR * spread) / binWidth));
    for (let axis = 0; axis < d; axis++) blurTwice(near, side, side ** axis, radius);
    return {
      center: denseCenter(near, side, mean), reach: Math.max(spread, 1.5 * binWidth),
    };
  });
}

/**
 * Numbers of cells, (n_slots, side ** dimension).
 *
 * @param {Slots} slots
 * @param {Embedding} embedding
 * @param {number} side
 */
function countInBins({ codes, slotOfCell }, { points, width, dimension: d }, side) {
  const bins = new Float32Array(codes.length * side ** d);
  for (let i = 0; i < slotOfCell.length; i++) {
    const slot = slotOfCell[i];
    if (slot < 0) continue;
    let bin = slot;
    for (let axis = d - 1; axis >= 0; axis--) {
      const at = ((points[width * i + axis] + 1) / 2) * side;
      bin = bin * side + (at < 0 ? 0 : at >= side ? side - 1 : at | 0);
    }
    bins[bin]++;
  }
  return bins;
}

/**
 * Replaces each number by the sum around it along one axis, twice, so that far ones weigh less.
 *
 * @param {Float32Array} bins
 * @param {number} side
 * @param {number} step between neighbors along the axis
 * @param {number} radius
 */
function blurTwice(bins, side, step, radius) {
  if (!radius) return;
  const line = new Float32Array(side);
  for (let first = 0; first < bins.length; first++) {
    if (Math.floor(first / step) % side) continue; // not the start of a line
    for (let pass = 0; pass < 2; pass++) {
      for (let i = 0; i < side; i++) line[i] = bins[first + i * step];
      let sum = 0;
      for (let i = 0; i < radius; i++) sum += line[i];
      for (let i = 0; i < side; i++) {
        if (i + radius < side) sum += line[i + radius];
        if (i - radius - 1 >= 0) sum -= line[i - radius - 1];
        bins[first + i * step] = sum;
      }
    }
  }
}

/**
 * The mean, if it is about as dense there as anywhere; else the middle of the bin with most cells.
 *
 * @param {Float32Array} bins
 * @param {number} side
 * @param {number[]} mean
 */
function denseCenter(bins, side, mean) {
  const binOfMean = mean.reduceRight((bin, x) =>
    bin * side + Math.min(side - 1, Math.floor(((x + 1) / 2) * side)), 0);
  let densest = 0;
  for (let bin = 1; bin < bins.length; bin++) if (bins[bin] > bins[densest]) densest = bin;
  if (bins[binOfMean] >= MIN_DENSITY * bins[densest]) return mean;
  return mean.map((_, axis) =>
    ((Math.floor(densest / side ** axis) % side) + 0.5) * (2 / side) - 1);
}

/**
 * Means of the cells of each slot that are inside its box; its center if there are none.
 *
 * @param {Box[]} boxes
 * @param {Slots} slots
 * @param {Embedding} embedding
 */
export function averageInside(boxes, { slotOfCell }, { points, width, dimension: d }) {
  const centers = new Float64Array(boxes.flatMap(({ center }) => center));
  const reaches = new Float64Array(boxes.map(({ reach }) => reach));
  const sums = new Float64Array(centers.length);
  const counts = new Float64Array(boxes.length);
  for (let i = 0; i < slotOfCell.length; i++) {
    const slot = slotOfCell[i];
    if (slot < 0) continue;
    let weight = 1; // not a branch, which the processor could not foresee: a third of the time
    for (let axis = 0; axis < d; axis++) {
      const distance = Math.abs(points[width * i + axis] - centers[d * slot + axis]);
      weight &= Number(distance <= reaches[slot]);
    }
    counts[slot] += weight;
    for (let axis = 0; axis < d; axis++) sums[d * slot + axis] += weight * points[width * i + axis];
  }
  return boxes.map(({ center }, slot) => center.map((x, axis) =>
    (counts[slot] ? sums[d * slot + axis] / counts[slot] : x)));
}
