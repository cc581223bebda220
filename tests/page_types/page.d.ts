// What scripts of the page find beside what a browser has.

interface Window {
  /** What the page publishes to tests and benchmarks; see state.js. */
  cellucid: any;
}
