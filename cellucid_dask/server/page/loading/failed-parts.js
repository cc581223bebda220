// What the page does without while it opens a dataset: each part of the view that cannot be loaded
// is switched off, so that the others are shown. Later a part that fails takes its change back.

import { loaded, view } from "../state.js";

/** @typedef {import("../data/reader.js").Reader} Reader */
/** @typedef {import("../link/link.js").View} View */
/**
 * @typedef {{path?: string, status?: number, message: string, errors?: Failure[]}} Failure
 *   `errors` if they are several
 */

/** @type {Failure[]} */
let failures = [];
/** @type {Set<string>} What the page does without, in words. */
let lines = new Set();

/**
 * Changes the view to one without a part that could not be loaded.
 *
 * @param {Failure} error
 * @param {AbortSignal} signal of the request
 * @param {Partial<View>} change
 * @param {string[]} said what the page does without, in words
 */
export function doWithout(error, signal, change, said) {
  if (signal.aborted || loaded.wasShown) throw error;
  noteFailure(error, said);
  const parts = Object.keys(change).map((part) => [part, Reflect.get(view, part)]);
  loaded.wanted = { ...Object.fromEntries(parts), ...loaded.wanted };
  Object.assign(view, change);
}

/** The parts of the view with what the page does without, as a link and Retry ask for it. */
export const wantedParts = () => ({
  ...loaded.wanted,
  filters: view.filters.map((filter) =>
    (loaded.lostFilters.includes(filter) ? { ...filter, on: true } : filter)),
});

/**
 * Notes that something could not be loaded that the view does not depend on.
 *
 * @param {Failure} error
 * @param {string[]} said
 */
export function noteFailure(error, said) {
  failures.push(...(error.errors ?? [error]));
  for (const line of said) lines.add(line);
}

/**
 * All that was noted, as one error; null if it is nothing. It is not noted any longer.
 *
 * @returns {Failure | null}
 */
export function takeFailure() {
  const [first] = failures;
  const messages = new Set(failures.map(({ message }) => message));
  const message = [`${[...messages].join("; ")}.`, ...lines].join(" ");
  [failures, lines] = [[], new Set()];
  return first ? { path: first.path, status: first.status, message } : null;
}

/**
 * What a promise has; null if the page does without it.
 *
 * @template Contents
 * @param {Reader} reader
 * @param {Promise<Contents>} promise
 * @param {Partial<View>} change of the view to one without it
 * @param {string} line on this
 * @returns {Promise<Contents | null>}
 */
export async function loadOptional(reader, promise, change, line) {
  try {
    return await promise;
  } catch (error) {
    doWithout(error, reader.signal, change, [line]);
    return null;
  }
}
