// Where cells are on the plane of the view, for what the graphics card does not answer: the cell
// under the pointer, the cells within an outline. All of them are gone through each time, which
// takes about as long as a frame and no memory.

import { EYE, turn } from "./camera.js";

/**
 * Calls `visit(i, x, y, z)` for every cell with its plane coordinates.
 *
 * points: (n, width) float32, width 2 or 3; z is towards the eye, 0 in flat views.
 */
export function forEachPlace(points, width, { yaw, rise }, visit) {
  const n = points.length / width;
  if (width === 2) {
    for (let i = 0; i < n; i++) visit(i, points[2 * i], points[2 * i + 1], 0);
    return;
  }
  const m = turn(3, yaw, rise);
  for (let i = 0; i < n; i++) {
    const x = points[3 * i];
    const y = points[3 * i + 1];
    const z = points[3 * i + 2];
    const depth = m[2] * x + m[5] * y + m[8] * z;
    const near = EYE / (EYE - depth);
    const right = (m[0] * x + m[3] * y + m[6] * z) * near;
    visit(i, right, (m[1] * x + m[4] * y + m[7] * z) * near, depth);
  }
}

/** Plane coordinates of one place of the embedding. */
export function place(position, view) {
  const [x, y = 0, z] = position;
  let found;
  forEachPlace(z === undefined ? [x, y] : [x, y, z], z === undefined ? 2 : 3, view,
    (_, ...at) => { found = at; });
  return found;
}

/** Whether (x, y) is within the outline [[x, y], ...], by the even-odd rule. */
export function within(outline, x, y) {
  let inside = false;
  for (let i = 0, j = outline.length - 1; i < outline.length; j = i++) {
    const [ax, ay] = outline[i];
    const [bx, by] = outline[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

/** Marks in `marks` (a byte per cell) the cells within an outline of plane coordinates. */
export function markWithin(points, width, view, outline, marks) {
  const [xs, ys] = [outline.map(([x]) => x), outline.map(([, y]) => y)];
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  forEachPlace(points, width, view, (i, x, y) => {
    if (x >= left && x <= right && y >= low && y <= high && within(outline, x, y)) marks[i] = 1;
  });
}

/**
 * The cell at a place of the plane, -1 for none.
 *
 * Of cells that cover the place the one on top, as `above(i, j)` says where both are as near to
 * the eye; else the nearest within `reach`. radius(z): of a cell at that depth; all in plane units.
 */
export function cellAt(points, width, view, [px, py], { radius, reach, seen, above }) {
  let [best, bestFar, bestDepth, covered] = [-1, reach, -Infinity, false];
  const limit = Math.max(reach, radius(1));
  forEachPlace(points, width, view, (i, x, y, z) => {
    const dx = x - px;
    const dy = y - py;
    if (dx > limit || dx < -limit || dy > limit || dy < -limit) return;
    if (!seen(i)) return;
    const far = Math.hypot(dx, dy);
    if (far <= radius(z)) {
      if (covered && (z < bestDepth || (z === bestDepth && !above(i, best)))) return;
      [best, bestDepth, covered] = [i, z, true];
    } else if (!covered && far < bestFar) [best, bestFar] = [i, far];
  });
  return best;
}
