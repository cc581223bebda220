// A link that was not in the address yet when the page was left: it is used when the page is loaded
// again. A page that is being left cannot change its address any more.

const STORAGE_KEY = "cellucid-unwritten-link"; // of the tab: [address, the one it should have been]

/**
 * Keeps the address that the page should have.
 *
 * @param {string} wanted
 */
export function keepUnwrittenLink(wanted) {
  try {
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify([location.href, wanted]));
  } catch {
    // A frame may not be allowed to store anything.
  }
}

/** Gives the address what it should have had, if it is the one that the page was left with. */
export function writeUnwrittenLink() {
  try {
    const [address, wanted] = JSON.parse(sessionStorage.getItem(STORAGE_KEY)) ?? [];
    sessionStorage.removeItem(STORAGE_KEY);
    if (address === location.href) history.replaceState(history.state, "", wanted);
  } catch {
    // The address stays.
  }
}
