// Loads the vectors and the edges that are drawn with the cells.

import { loaded, view } from "../state.js";
import { loadOptional } from "./failed-parts.js";

/** @typedef {import("../data/reader.js").Reader} Reader */
/** @typedef {import("./show-loaded.js").Ui} Ui */

export const MAX_EDGES = 1_000_000; // of more, the page draws an even sample

/** The vector field that the view wants and that the dimension has. */
export function vectorField() {
  const field = loaded.dataset.vectorFields[view.vectors];
  return field?.available_dimensions.includes(view.d) && !view.embedding ? field : null;
}

/**
 * @param {Reader} reader
 * @param {Ui} ui
 */
export async function loadVectors(reader, { display }) {
  if (!vectorField() || loaded.vectors) return;
  const reading = loaded.dataset.readVectors(reader, view.vectors, loaded.dimension);
  const vectors = await loadOptional(reader, reading, { vectors: "" }, "Vectors are off.");
  reader.signal.throwIfAborted();
  loaded.vectors = vectors;
  display.updateCells();
}

/**
 * @param {Reader} reader
 * @param {Ui} ui
 */
export async function loadEdges(reader, { display }) {
  const { dataset } = loaded;
  if (!view.edges || loaded.edges || dataset.nEdges === 0) return;
  const reading = dataset.readEdges(reader, MAX_EDGES);
  const edges = await loadOptional(reader, reading, { edges: false }, "Edges are off.");
  reader.signal.throwIfAborted();
  loaded.edges = edges;
  display.updateCells();
}
