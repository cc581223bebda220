// Positions as they are drawn.

/**
 * (n, 2) or (n, 3) positions to draw; 1D cells get heights that look random and never change.
 *
 * @param {Float32Array} points
 * @param {number} dimension
 */
export function toDrawnPoints(points, dimension) {
  if (dimension > 1) return points;
  const drawn = new Float32Array(2 * points.length);
  for (let i = 0; i < points.length; i++) {
    const hash = Math.imul(Math.imul(i + 1, 0x9e3779b1) ^ (i >>> 7), 0x85ebca6b);
    drawn[2 * i] = points[i];
    drawn[2 * i + 1] = ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 34 - 0.125;
  }
  return drawn;
}
