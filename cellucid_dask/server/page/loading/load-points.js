// Loads the points of the embedding of the view; one that cannot be read is replaced by another.

import { LoadError } from "../data/reader.js";
import { chooseOtherEmbedding } from "../link/unusable-parts.js";
import { loaded, plotKey, problems, view } from "../state.js";
import { noteFailure } from "./failed-parts.js";
import { showPoints } from "./show-loaded.js";

/** @typedef {import("../data/embeddings.js").Embedding} Embedding */
/** @typedef {import("../data/reader.js").Reader} Reader */
/** @typedef {import("../link/link.js").View} View */
/** @typedef {import("./show-loaded.js").Ui} Ui */
/** @typedef {{error: LoadError, embedding: Embedding, isRefused: boolean}} Unread an embedding */

/**
 * @param {Reader} reader
 * @param {Ui} ui
 */
export async function loadPoints(reader, ui) {
  if (loaded.dimension === view.d && loaded.embedding === view.embedding) return;
  const points = await readPoints(reader, ui);
  reader.signal.throwIfAborted();
  const { d, embedding } = view;
  Object.assign(loaded, { dimension: d, embedding, points, vectors: null });
  showPoints(ui); // before the fields, which may take a while with live data
}

/**
 * Points of the embedding of the view; while the dataset opens, else of one that can be read.
 *
 * @param {Reader} reader
 * @param {Ui} ui
 */
async function readPoints(reader, { controls }) {
  const { dataset } = loaded;
  const wanted = { d: view.d, embedding: view.embedding };
  if (!loaded.wasShown) dataset.forgetLoadErrors();
  /** @type {Unread[]} */
  const failed = [];
  for (;;) {
    const embedding = dataset.findEmbedding(view.embedding, view.d);
    try {
      const points = await dataset.readPoints(reader, embedding);
      if (failed.length) sayShownInstead(failed, wanted, embedding);
      return points;
    } catch (error) {
      reader.signal.throwIfAborted();
      if (!(error instanceof LoadError)) throw error;
      const [subject, why] = error.reason.split(/: (.*)/s);
      const isRefused = subject === `obsm/${embedding.id}`; // live: it has NaN
      if (loaded.wasShown && !isRefused) throw error;
      dataset.noteProblems({ [embedding.id]: isRefused ? why : error.message });
      failed.push({ error, embedding, isRefused });
      if (loaded.wasShown) throw new Error(describeFailed(failed[0]));
      if (view.at) loaded.viewpoints.set(plotKey(view), view.at); // for Retry
      if (!chooseOtherEmbedding(view, dataset, failed.map((each) => each.embedding))) {
        Object.assign(view, wanted);
        throw new NoEmbeddingError(failed);
      }
      view.at = loaded.viewpoints.get(plotKey(view)) ?? null;
      controls.showView(view);
    }
  }
}

/** No embedding of the dataset can be read: the errors of all of them. */
class NoEmbeddingError extends Error {
  /** @param {Unread[]} failed */
  constructor(failed) {
    const messages = failed.map(({ error }) => error.message);
    super(`${messages.join("; ")}. This dataset has no other embedding to show.`);
    const { path, status } = failed[0].error;
    Object.assign(this, { path, status });
  }
}

/** @param {Unread} unread */
const describeFailed = ({ embedding: { id, problem } }) =>
  `The embedding "${id}" cannot be shown: ${problem}.`;

/**
 * Retry asks for what could not be loaded; what the server refuses stays as it is.
 *
 * @param {Unread[]} failed
 * @param {Pick<View, "d" | "embedding">} wanted
 * @param {Embedding} shown
 */
function sayShownInstead(failed, wanted, shown) {
  const instead = `The page shows "${shown.id}".`;
  const broken = failed.filter(({ isRefused }) => !isRefused);
  const refused = failed.filter(({ isRefused }) => isRefused).map(describeFailed);
  if (!broken.length) {
    problems.push([...refused, instead].join(" "));
    return;
  }
  const lines = broken.map(({ embedding }) => `The embedding "${embedding.id}" cannot be shown.`);
  for (const { error } of broken) noteFailure(error, []);
  noteFailure(broken[0].error, [...lines, ...refused, instead]);
  loaded.wanted = { ...wanted, ...loaded.wanted };
}
