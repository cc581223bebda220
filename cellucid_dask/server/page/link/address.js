// Keeps the view in the address of the page, so that it can be copied as a link.

import { listRows } from "../ask/groups.js";
import { wantedParts } from "../loading/failed-parts.js";
import { formatView } from "./link.js";
import { showNotice } from "../messages.js";
import { loaded, published, view, wantedEntry } from "../state.js";
import { keepUnwrittenLink, writeUnwrittenLink } from "./unwritten-link.js";

const DELAY_MS = 250; // browsers limit how often the address may change
let timer = 0;
/** @type {(() => number[] | null) | null} What the timer waits with. */
let waiting = null;

addEventListener("pagehide", () => {
  const url = waiting && findAddress(waiting);
  if (url && url.href !== location.href) keepUnwrittenLink(url.href);
});
// The browser kept the page as it was, and it still writes its address.
addEventListener("pageshow", ({ persisted }) => persisted && writeUnwrittenLink());

/**
 * Writes the view into the address a little later; `readViewpoint()` gives that of the camera.
 *
 * @param {() => number[] | null} readViewpoint
 */
export function updateAddressSoon(readViewpoint) {
  clearTimeout(timer);
  waiting = readViewpoint;
  timer = setTimeout(() => updateAddress(readViewpoint), DELAY_MS);
}

/** @param {() => number[] | null} readViewpoint */
export function updateAddress(readViewpoint) {
  clearTimeout(timer);
  waiting = null;
  const url = findAddress(readViewpoint);
  if (url) replaceAddress(url);
}

/**
 * The address of what is shown; null if it may not be written now.
 *
 * @param {() => number[] | null} readViewpoint
 */
function findAddress(readViewpoint) {
  if (!history.state) return null; // the user has edited the address, and the page loads for it
  const isLoading = !published.ready && !published.error; // the address is still of another view
  if (isLoading || !loaded.dimension || loaded.dimension !== view.d
    || loaded.embedding !== view.embedding) return null;
  view.at = readViewpoint();
  return viewUrl();
}

/** The address of the view. */
export function viewUrl() {
  const dataset = loaded.entries?.length > 1 ? nameInLink(wantedEntry()) : null;
  const url = new URL(location.href);
  const { d, embedding } = view; // also if others are wanted: the viewpoint is of this plot
  url.hash = formatView({ ...view, ...wantedParts(), d, embedding, dataset });
  return url;
}

/** Takes the token out of the address: the server has set a cookie. */
export function removeToken() {
  const url = new URL(location.href);
  url.searchParams.delete("token");
  replaceAddress(url);
}

/**
 * Whether a host is the computer of the browser itself, so that its addresses lead nowhere on others.
 *
 * @param {string} hostname as in `location.hostname`
 */
export const isThisComputer = (hostname) =>
  /^(127(\.\d+){3}|\[::1\]|(.+\.)?localhost)$/.test(hostname);

export async function copyLink() {
  const copied = navigator.clipboard?.writeText(location.href) ?? Promise.reject();
  const rows = view.groups.filter(({ cells }) => listRows(cells).length).map(({ name }) => name);
  const missing = rows.length
    ? ` It does not hold the cells of the ${rows.length > 1 ? "groups" : "group"} ${rows.join(", ")}. Send a session file with it: click Save session.` : "";
  const local = isThisComputer(location.hostname)
    ? `, for this computer: its address is ${location.host}. To a colleague with the data, send a session` : "";
  await copied.then(
    () => showNotice(`Link copied${local}.${missing}`, { leaves: !missing }),
    () => showNotice(`The browser did not allow copying. Copy this link: ${location.href}`));
}

/** @param {URL} url */
function replaceAddress(url) {
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}

/**
 * The id of a dataset, as in older links; its path if several datasets have the same id.
 *
 * @param {import("../state.js").Entry} entry
 */
function nameInLink({ id, path }) {
  return loaded.entries.filter((other) => other.id === id).length > 1 ? path : id;
}
