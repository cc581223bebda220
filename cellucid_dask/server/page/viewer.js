// The page: what the user wants to see, what is loaded, and the way from the one to the other.

import { Controls } from "./controls.js";
import { Dataset, split } from "./data.js";
import { Display } from "./display.js";
import { $, count, save } from "./elements.js";
import { START, write } from "./link.js";
import { Reader } from "./reader.js";
import { Selection } from "./selection.js";
import { marks } from "./shown.js";
import { forget, have, state, view } from "./state.js";

const ROOT = new URL("../../", import.meta.url); // this file is at _cellucid/page/viewer.js
const MOVE = "drag to move, wheel to zoom";
const HINTS = { 1: MOVE, 2: MOVE, 3: "drag to turn, shift-drag to move, wheel to zoom" };
const MOST_EDGES = 1_000_000; // that are drawn
const USUAL = { hide: START.hide, outliers: START.outliers, range: START.range, log: START.log };
const settings = new Map(); // by colour, for when it is chosen again
let stop = new AbortController();
let display;
let indexSettled = false;

// ------------------------------------------------------------- from what is wanted to what is

/** Loads what is wanted and not there yet; a later call takes the place of an earlier one. */
async function refresh() {
  stop.abort();
  stop = new AbortController();
  const { signal } = stop;
  Object.assign(state, { ready: false, error: null });
  $("error").hidden = true;
  $("progress").hidden = false;
  try {
    display ??= new Display({ ask, seen, painted, shown, moved: remember, lassoed });
    await load(signal);
    await display.scatter.draw();
    if (signal.aborted) return;
    state.ready = true;
    say();
    rememberNow();
    lookAtIndex(signal);
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
  if (!signal.aborted) $("progress").hidden = true;
}

const reader = (signal, { path }, told = tell) =>
  new Reader(new URL(`.${path}`, ROOT), signal, told);

/** The entry of the dataset that is wanted. */
const wanted = () => have.entries.find(({ path }) => path === view.dataset);

async function load(signal) {
  if (!have.entries) await loadEntries(new Reader(ROOT, signal, tell));
  const entry = wanted();
  const from = reader(signal, entry);
  if (have.entry !== entry) {
    clear(entry);
    const identity = await from.json("dataset_identity.json");
    signal.throwIfAborted();
    Object.assign(have, { dataset: new Dataset(identity), entry });
    showDataset();
  }
  const fields = have.fields ? null : loadFields(from);
  await Promise.all([loadPoints(from), fields?.all, loadColour(from, fields)]);
  await loadRest(from);
}

async function loadEntries(from) {
  const { datasets } = await from.json("_cellucid/datasets");
  from.signal.throwIfAborted();
  const here = new URL(location);
  here.searchParams.delete("token"); // the server has set a cookie
  if (here.href !== location.href) history.replaceState(null, "", here);
  const usable = datasets.filter((entry) => !entry.error);
  if (!usable.length) {
    const reasons = datasets.map(({ name, error }) => `${name}: ${error}`);
    throw new Error(["The server has no dataset to show.", ...reasons].join(" "));
  }
  have.entries = datasets;
  const found = usable.find(({ id, path }) => [id, path].includes(view.dataset));
  if (view.dataset !== null && !found) notice(`There is no dataset ${view.dataset} here.`);
  view.dataset = (found ?? usable[0]).path; // two may have one id
  controls.entries = datasets;
}

/** `obs` and `all` resolve when the fields of obs, and the genes too, are known. */
function loadFields(from) {
  const { dataset } = have;
  const obs = dataset.readFields(from);
  const all = Promise.all([obs, dataset.readGenes(from)]).then(() => {
    from.signal.throwIfAborted();
    chooseColour();
    controls.showFields(dataset);
    selection.fields = [...dataset.categorical.keys()];
    controls.show(view);
    have.fields = true;
  });
  for (const each of [obs, all]) each.catch(() => {}); // told by who waits for them
  return { obs, all };
}

async function loadPoints(from) {
  if (have.dimension === view.d) return;
  const points = await have.dataset.points(from, view.d);
  from.signal.throwIfAborted();
  have.dimension = state.dimension = view.d;
  have.vectors = null;
  display.scatter.setPoints(points, view.d);
  display.scatter.camera.numbers = view.at;
  display.showCells(); // a server that works live may need a while for the fields
}

/** Needs the points of no dimension, and the list of genes only for a gene. */
async function loadColour(from, fields) {
  await (split(view.color ?? "")[0] === "gene" ? fields?.all : fields?.obs);
  from.signal.throwIfAborted();
  chooseColour();
  $("legend").inert = have.colour !== view.color; // until then it is of the colour that was
  if (have.colour === view.color) return;
  try {
    const column = view.color ? await have.dataset.colour(from, view.color) : null;
    from.signal.throwIfAborted();
    takeColumn(view.color, column);
  } catch (error) {
    if (!from.signal.aborted) takeColumn(null, null); // the cells stay, without colours
    throw error;
  }
}

function takeColumn(colour, column) {
  Object.assign(have, { colour, column, outliers: null, hidden: new Set(view.hide) });
  display.showColumn();
}

/** What is seen besides: each is loaded when it is wanted. */
async function loadRest(from) {
  const { dataset, column, dimension } = have;
  const take = async (name, loaded) => {
    have[name] = await loaded;
    from.signal.throwIfAborted();
    display.showCells();
  };
  if (column?.categorical && view.outliers < 1 && dataset.hasOutliers && !have.outliers) {
    const outliers = await dataset.outliers(from, column.key);
    from.signal.throwIfAborted();
    display.scatter.outliers = outliers.codes;
    await take("outliers", outliers);
  }
  if (view.lasso !== have.lasso) {
    const { lasso } = view;
    const found = await marks(dataset.nCells, lasso, (d) => dataset.points(from, d));
    from.signal.throwIfAborted();
    have.lasso = lasso;
    display.scatter.selected = found;
    await take("marks", found);
  }
  const field = dataset.vectorFields[view.vectors];
  if (field?.available_dimensions.includes(dimension) && !have.vectors) {
    await take("vectors", dataset.vectors(from, view.vectors, dimension));
  }
  if (view.edges && !have.edges && dataset.nEdges) {
    await take("edges", dataset.edges(from, MOST_EDGES));
  }
}

/** Says why genes take long, once the server has found out that it can have no gene index. */
async function lookAtIndex(signal) {
  if (indexSettled) return;
  const info = new Reader(ROOT, signal, () => {}).json("_cellucid/info");
  const { index } = await info.catch(() => ({ index: {} })); // the next look may tell
  indexSettled = !["waiting", "building", undefined].includes(index ? index.state : "none");
  if (index?.state !== "failed") return;
  $("index-note").textContent = `No gene index (${index.reason}): ${index.cost}.`;
  $("index-note").hidden = false;
}

// --------------------------------------------------------------------------- what is shown

function clear(entry) {
  forget();
  settings.clear();
  display.clear();
  selection.show(null);
  controls.clear(entry.name);
}

function showDataset() {
  const { identity, nCells, vectorFields } = have.dataset;
  const { available_dimensions: dimensions, default_dimension: dimension } = identity.embeddings;
  Object.assign(state, { nCells, dataset: identity.id });
  if (view.d && !dimensions.includes(view.d)) notice(`This dataset has no ${view.d}D embedding.`);
  if (!dimensions.includes(view.d)) Object.assign(view, { d: dimension, at: null });
  view.lasso = view.lasso.filter(({ d }) => dimensions.includes(d));
  if (!Object.hasOwn(vectorFields, view.vectors)) view.vectors = "";
  controls.showDataset(have.dataset);
  controls.show(view);
}

/** Where none is asked for, or one that there is not, the first that shows something. */
function chooseColour() {
  const { dataset } = have;
  const [kind, key] = split(view.color ?? "");
  if (kind === "gene" && !dataset.genes) return; // not known yet
  if (view.color !== null && !dataset.has(view.color)) {
    notice(`This dataset has nothing called ${key || view.color}.`);
    Object.assign(view, USUAL, { color: null });
  }
  const fields = [...dataset.categorical.values()];
  const first = fields.find(([, { length }]) => length > 1 && length < 255);
  view.color ??= first ? `obs:${first[0]}` : "";
}

/** After the cells were shown anew. */
function shown(edges) {
  const { dataset, column, marks: found, seen: isSeen } = have;
  controls.edgesShown = edges && dataset.nEdges > MOST_EDGES ? [edges, dataset.nEdges] : null;
  const key = column?.categorical ? column.key : null;
  selection.show(found, isSeen ?? (() => true), key, state.dataset);
}

function say() {
  const { drawn, nCells, dimension } = state;
  const part = drawn === nCells ? "" : `${count(drawn)} of `;
  $("status").textContent = `${part}${count(nCells)} cells in ${dimension}D · ${HINTS[dimension]}`;
}

function tell(path, received, total, wait = 0) {
  const mega = (n) => (n / 1e6).toFixed(1);
  const size = received > 1e6 ? ` ${mega(received)} of ${mega(total)} MB` : "";
  $("status").textContent = wait
    ? `The server is busy: asking again for ${path} in ${wait} s…` : `Loading ${path}…${size}`;
  if (total) Object.assign($("progress"), { max: total, value: received });
  else $("progress").removeAttribute("value");
}

function fail({ path = null, status = null, message }) {
  state.error = { path, status, message };
  $("problem").textContent = path === null ? message : `Could not load ${message}`;
  $("error").hidden = false;
  $("status").textContent = "Something could not be loaded.";
}

/** Tells of something that is not as wished, and no failure. */
function notice(text) {
  $("notice").firstElementChild.textContent = text;
  $("notice").hidden = false;
}

// -------------------------------------------------------------------------- what is asked for

/** Takes a wish, for which something may have to be loaded. */
function ask(wish) {
  const recoloured = "color" in wish && wish.color !== view.color;
  if (recoloured) changeColour(wish);
  if ("d" in wish && wish.d !== view.d) wish.at = null;
  if ("vectors" in wish && wish.vectors !== view.vectors) have.vectors = null;
  Object.assign(view, wish);
  controls.show(view);
  if (have.dimension && !recoloured) display.showCells();
  refresh();
}

/** Takes a change of which cells are seen, for which nothing is to be loaded. */
function seen(change) {
  Object.assign(view, change);
  if (have.dimension) display.showCells();
  if (state.ready) say();
  remember();
}

/** Takes a change of how they are seen. */
function painted(change) {
  Object.assign(view, change);
  if (have.dimension) display.paint();
  remember();
}

function lassoed(lasso, add) {
  ask({ lasso: add ? [...view.lasso, lasso] : [lasso] });
}

/** The filters and the scale of a colour stay with it. */
function changeColour(wish) {
  const { hide, outliers, range, log } = view;
  settings.set(view.color, { hide, outliers, range, log });
  Object.assign(wish, USUAL, settings.get(wish.color));
}

function changeDataset(dataset) {
  const { theme, map, labels } = view;
  Object.assign(view, START, { dataset, theme, map, labels });
  retry();
}

/** Reads all anew: the data may have been exported again since the page was opened. */
function retry() {
  have.entry = null;
  refresh();
}

let later = 0;

/** Puts the view into the address, a little later: browsers bound how often. */
function remember() {
  clearTimeout(later);
  later = setTimeout(rememberNow, 250);
}

function rememberNow() {
  clearTimeout(later);
  if (!have.dimension || have.dimension !== view.d) return;
  view.at = display.scatter.camera.numbers;
  const here = new URL(location);
  here.hash = write({ ...view, dataset: have.entries.length > 1 ? nameInLink(wanted()) : null });
  if (here.href !== location.href) history.replaceState(null, "", here);
}

/** The id, as links always had it, where it is that of one entry only. */
function nameInLink({ id, path }) {
  return have.entries.filter((entry) => entry.id === id).length > 1 ? path : id;
}

async function copyLink() {
  rememberNow();
  const copied = navigator.clipboard?.writeText(location.href) ?? Promise.reject();
  const told = () => notice("The link is copied.");
  await copied.then(told, () => notice(`The link: ${location.href}`));
}

async function savePicture() {
  if (!have.dimension) return;
  try {
    save(...await display.picture(Number($("picture-scale").value)));
  } catch (error) {
    notice(error.message);
  }
}

function themed() {
  document.documentElement.dataset.theme = view.theme;
  display?.themed();
}

const controls = new Controls({
  ask, painted, retry, savePicture, copyLink, themed, changeDataset,
  reset: () => display?.scatter.camera.reset(),
  lasso: () => display && (display.lasso.on = !display.lasso.on),
  size: () => display?.size ?? 3,
});
const selection = new Selection({
  load: (key) => {
    const { column, dataset, entry } = have;
    if (column?.categorical && column.key === key) return column;
    const { signal } = new AbortController(); // what is asked for next does not stop it
    return dataset.colour(reader(signal, entry, () => {}), `obs:${key}`);
  },
  clear: () => ask({ lasso: [] }),
});
addEventListener("hashchange", () => location.reload()); // a link was put into the address bar
themed();
refresh();
