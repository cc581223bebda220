// Projects cells to plane coordinates on the CPU, for what the graphics card does not answer: which
// cell is under the pointer, which cells are inside an outline. Each answer goes through all cells,
// which takes about as long as a frame and needs no memory.

export const EYE_DISTANCE = 3.5; // of the eye from the origin in 3D, in units of the embedding
const BANDS = 256; // horizontal ones of an outline: a cell meets the few edges of its band

/**
 * Rotation of x, y, z (z is up) to right, up and towards the eye: a mat3 in column-major order.
 *
 * @param {number} dimension
 * @param {number} yaw
 * @param {number} pitch
 */
export function rotationMatrix(dimension, yaw, pitch) {
  if (dimension < 3) return [1, 0, 0, 0, 1, 0, 0, 0, 1];
  const [cosYaw, sinYaw] = [Math.cos(yaw), Math.sin(yaw)];
  const [cosPitch, sinPitch] = [Math.cos(pitch), Math.sin(pitch)];
  return [
    cosYaw, sinYaw * sinPitch, -sinYaw * cosPitch,
    -sinYaw, cosYaw * sinPitch, -cosYaw * cosPitch,
    0, cosPitch, sinPitch,
  ];
}

/**
 * Calls `visit(i, x, y, depth)` for every cell with its plane coordinates.
 *
 * depth is towards the eye, 0 in 1D and 2D.
 *
 * @param {ArrayLike<number>} points (n, width)
 * @param {number} width 2 or 3
 * @param {{ yaw: number, pitch: number }} rotation
 * @param {(i: number, x: number, y: number, depth: number) => void} visit
 */
export function forEachProjected(points, width, { yaw, pitch }, visit) {
  const n = points.length / width;
  if (width === 2) {
    for (let i = 0; i < n; i++) visit(i, points[2 * i], points[2 * i + 1], 0);
    return;
  }
  const m = rotationMatrix(3, yaw, pitch);
  for (let i = 0; i < n; i++) {
    const x = points[3 * i];
    const y = points[3 * i + 1];
    const z = points[3 * i + 2];
    const depth = m[2] * x + m[5] * y + m[8] * z;
    const perspective = EYE_DISTANCE / (EYE_DISTANCE - depth);
    const right = (m[0] * x + m[3] * y + m[6] * z) * perspective;
    visit(i, right, (m[1] * x + m[4] * y + m[7] * z) * perspective, depth);
  }
}

/**
 * Plane coordinates of one position of the embedding.
 *
 * @returns {[x: number, y: number, depth: number]}
 * @param {number[]} position
 * @param {{yaw: number, pitch: number}} camera
 */
export function project(position, camera) {
  const [x, y = 0, z] = position;
  /** @type {[number, number, number]} */
  let projected;
  forEachProjected(z === undefined ? [x, y] : [x, y, z], z === undefined ? 2 : 3, camera,
    (_, right, up, depth) => { projected = [right, up, depth]; });
  return projected;
}

/** An outline of plane coordinates, ready for many questions whether a position is inside. */
class Outline {
  #bottom;
  #top;
  #bandsPerUnit;
  /** @type {Float64Array[]} by band: the edges that cross it, as ax, ay, bx, by */
  #edgesOfBand;

  /** @param {number[][]} corners [[x, y], ...] */
  constructor(corners) {
    const ys = corners.map(([, y]) => y);
    this.#bottom = Math.min(...ys);
    this.#top = Math.max(...ys);
    this.#bandsPerUnit = BANDS / (this.#top - this.#bottom || 1);
    const bands = Array.from({ length: BANDS }, () => /** @type {number[]} */ ([]));
    corners.forEach(([bx, by], i) => {
      const [ax, ay] = corners.at(i - 1);
      const [first, last] = [Math.min(ay, by), Math.max(ay, by)].map((y) => this.#bandOf(y));
      for (let band = first; band <= last; band++) bands[band].push(ax, ay, bx, by);
    });
    this.#edgesOfBand = bands.map((edges) => Float64Array.from(edges));
  }

  /** @param {number} y */
  #bandOf(y) {
    return Math.min(BANDS - 1, Math.floor((y - this.#bottom) * this.#bandsPerUnit));
  }

  /**
   * Whether (x, y) is inside, by the even-odd rule.
   *
   * @param {number} x
   * @param {number} y
   */
  has(x, y) {
    if (!(y >= this.#bottom && y <= this.#top)) return false;
    const edges = this.#edgesOfBand[this.#bandOf(y)];
    let inside = false;
    for (let i = 0; i < edges.length; i += 4) {
      const ay = edges[i + 1];
      const by = edges[i + 3];
      if (ay > y === by > y) continue;
      if (x < ((edges[i + 2] - edges[i]) * (y - ay)) / (by - ay) + edges[i]) inside = !inside;
    }
    return inside;
  }
}

/**
 * Sets `mask` (a byte per cell) to a value for the cells inside an outline of plane coordinates.
 *
 * @param {ArrayLike<number>} points
 * @param {number} width
 * @param {{yaw: number, pitch: number}} camera
 * @param {number[][]} corners
 * @param {Uint8Array} mask
 * @param {number} [value]
 */
export function maskInside(points, width, camera, corners, mask, value = 1) {
  const outline = new Outline(corners);
  forEachProjected(points, width, camera, (i, x, y) => {
    if (outline.has(x, y)) mask[i] = value;
  });
}

/**
 * Index of the cell at a position of the plane, -1 if there is none.
 *
 * Among cells that cover the position: the one on top. If none covers it: the nearest within
 * `reach`. heightOf: as of `createHeightOf`; radius(depth): of a cell. Lengths are in plane units.
 *
 * @param {ArrayLike<number>} points
 * @param {number} width
 * @param {{yaw: number, pitch: number}} camera
 * @param {number[]} place
 * @param {{radius: (depth: number) => number, reach: number,
 *   heightOf: (i: number, depth: number | null) => number}} cells
 */
export function cellAt(points, width, camera, [px, py], { radius, reach, heightOf }) {
  let [best, bestDistance, bestHeight, isCovered] = [-1, reach, 0, false];
  const limit = Math.max(reach, radius(1));
  forEachProjected(points, width, camera, (i, x, y, depth) => {
    const dx = x - px;
    const dy = y - py;
    if (dx > limit || dx < -limit || dy > limit || dy < -limit) return;
    const height = heightOf(i, width === 3 ? depth : null);
    if (height < 0) return;
    const distance = Math.hypot(dx, dy);
    if (distance <= radius(depth)) {
      if (height < bestHeight) return;
      [best, bestHeight, isCovered] = [i, height, true];
    } else if (!isCovered && distance < bestDistance) [best, bestDistance] = [i, distance];
  });
  return best;
}
