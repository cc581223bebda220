// The order in which translucent cells are drawn: without a depth test, the last one is on top.

const BINS = 4096; // of the height; cells of the same bin are drawn in the order of rows

/**
 * Indices of the cells that are drawn, from the bottom to the top; heightOf: as of
 * `createHeightOf`, without the distance to the eye, so that the order stays when the view moves.
 *
 * @param {(i: number, depth: null) => number} heightOf
 * @param {number} nCells
 */
export function orderCells(heightOf, nCells) {
  const bins = new Uint16Array(nCells);
  const ends = new Uint32Array(BINS + 1);
  for (let i = 0; i < nCells; i++) {
    const height = heightOf(i, null);
    bins[i] = height < 0 ? BINS : Math.min(BINS - 1, Math.floor(height * BINS)); // hidden: the last
    ends[bins[i]]++;
  }
  for (let bin = 0, before = 0; bin <= BINS; bin++) {
    const count = ends[bin];
    ends[bin] = before;
    before += count;
  }
  const order = new Uint32Array(nCells);
  for (let i = 0; i < nCells; i++) order[ends[bins[i]]++] = i;
  return order.subarray(0, ends[BINS - 1]);
}

/**
 * An even sample of ordered cells, in the same order: every `stride`th row.
 *
 * @param {Uint32Array} order
 * @param {number} stride
 */
export const sampleCells = (order, stride) => order.filter((i) => i % stride === 0);
