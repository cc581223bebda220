// Projects cells to plane coordinates on the CPU, for what the graphics card does not answer: which
// cell is under the pointer, which cells are inside an outline. Each answer goes through all cells,
// which takes about as long as a frame and needs no memory.

export const EYE_DISTANCE = 3.5; // of the eye from the origin in 3D, in units of the embedding

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

/**
 * Whether (x, y) is inside the outline [[x, y], ...], by the even-odd rule.
 *
 * @param {number[][]} outline
 * @param {number} x
 * @param {number} y
 */
function isInside(outline, x, y) {
  let inside = false;
  for (let i = 0, j = outline.length - 1; i < outline.length; j = i++) {
    const [ax, ay] = outline[i];
    const [bx, by] = outline[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

/**
 * Sets `mask` (a byte per cell) to 1 for the cells inside an outline of plane coordinates.
 *
 * @param {ArrayLike<number>} points
 * @param {number} width
 * @param {{yaw: number, pitch: number}} camera
 * @param {number[][]} outline
 * @param {Uint8Array} mask
 */
export function maskInside(points, width, camera, outline, mask) {
  const [xs, ys] = [outline.map(([x]) => x), outline.map(([, y]) => y)];
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [bottom, top] = [Math.min(...ys), Math.max(...ys)];
  forEachProjected(points, width, camera, (i, x, y) => {
    const inBox = x >= left && x <= right && y >= bottom && y <= top;
    if (inBox && isInside(outline, x, y)) mask[i] = 1;
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
