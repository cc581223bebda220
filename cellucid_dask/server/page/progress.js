// The status line and the bar while files are loading: which file, and how much of it is there.

import { $ } from "./dom.js";

const PATIENCE = 1000; // ms without a response, after which the server must be computing the file

/** @typedef {import("./data/reader.js").Progress} Progress */
/** @type {Map<object, Progress & { since: number }>} by request, in their order */
const files = new Map();

/** @param {number} bytes */
const formatMegabytes = (bytes) => (bytes / 1e6).toFixed(1);

/**
 * Says which file is loading; of several, the one that was requested first.
 *
 * @param {object} request
 * @param {Progress | null} progress - null when the file is there, or has failed
 */
export function showProgress(request, progress) {
  if (progress) {
    const since = files.get(request)?.since ?? performance.now();
    files.set(request, { ...progress, since });
    if (!progress.hasResponse) setTimeout(showFirst, PATIENCE);
  } else {
    files.delete(request);
  }
  showFirst();
}

/** Nothing is loading any longer; what was said stays. */
export const forgetProgress = () => files.clear();

function showFirst() {
  const [first] = files.values();
  if (!first) return;
  $("status").textContent = describe(first);
  if (first.total) Object.assign($("progress"), { max: first.total, value: first.received });
  else $("progress").removeAttribute("value");
}

/** @param {Progress & { since: number }} progress */
function describe({ path, received, total, hasResponse, waitSeconds, since }) {
  if (waitSeconds) return `The server is busy. Retrying ${path} in ${waitSeconds} s…`;
  const isComputed = !hasResponse && performance.now() - since >= PATIENCE;
  const size = received > 1e6
    ? ` ${formatMegabytes(received)} of ${formatMegabytes(total)} MB` : "";
  return `Loading ${path}…${size}${isComputed ? " The server is preparing it." : ""}`;
}
