// The embeddings of a dataset: which there are, and which way their y points.

/**
 * @typedef {object} Embedding
 * @property {string} id obsm key, or "2d" and the like if the dataset does not name it
 * @property {number} dimension 1, 2 or 3
 * @property {string} path
 * @property {boolean} isDefault whether it is the default of its dimension
 * @property {boolean} yDown whether y points down in the file, as in an image
 * @property {string} problem why it cannot be shown, as far as that is known; "" if it can
 */

/**
 * All embeddings, the defaults first; older exports do not list them.
 *
 * @param {Record<string, any>} embeddings of the identity
 * @returns {Embedding[]}
 */
export function listEmbeddings({ available_dimensions: dimensions, files, sources }) {
  const unnamed = dimensions.map((/** @type {number} */ dimension) => {
    return { id: `${dimension}d`, dimension, path: files[`${dimension}d`] };
  });
  /** @type {Record<string, any>[]} */
  const listed = sources ?? unnamed;
  // Live data may have arrays of a dimension without a default: then it is the first of them.
  const defaultPath = (/** @type {number} */ d) =>
    files[`${d}d`] ?? listed.find(({ dimension }) => dimension === d).path;
  return listed.map(({ id, dimension, path, y_down: yDown = false }) => {
    return { id, dimension, path, yDown, isDefault: path === defaultPath(dimension), problem: "" };
  });
}

/**
 * Changes the sign of y, in place.
 *
 * @param {Float32Array} points
 * @param {number} dimension
 */
export function negateY(points, dimension) {
  for (let i = 1; i < points.length; i += dimension) points[i] = -points[i];
  return points;
}
