// The page: what the user wants to see, what is loaded, and the way from the one to the other.

import { categoryTable, lookUp, plain, valueTable } from "./colours.js";
import { Dataset, Reader, split } from "./data.js";
import { GeneInput } from "./genes.js";
import { count, element, showCategories, showValues } from "./legend.js";
import { Scatter } from "./scatter.js";

const ROOT = new URL("../../", import.meta.url); // this file is at _cellucid/page/viewer.js
const MOVE = "drag to move, wheel to zoom";
const HINTS = { 1: MOVE, 2: MOVE, 3: "drag to turn, shift-drag to move, wheel to zoom" };
const $ = (id) => document.getElementById(id);

/** For tests to look at. */
const state = (window.cellucid = {
  ready: false, nCells: 0, colorBy: null, error: null, drawn: 0, dataset: null, dimension: 0,
});
const NOTHING = {
  entry: null, dataset: null, fields: false, dimension: 0, colour: null, shown: null,
};
const want = { entry: null, dimension: 0, colour: null };
const have = { entries: null, ...NOTHING };
let stop = new AbortController();
let scatter;

// ------------------------------------------------------------- from what is wanted to what is

/** Loads what is wanted and not there yet; a later call takes the place of an earlier one. */
async function refresh() {
  stop.abort();
  stop = new AbortController();
  const { signal } = stop;
  Object.assign(state, { ready: false, error: null });
  $("error").hidden = true;
  try {
    scatter ??= new Scatter($("cells"));
    await load(signal);
    await scatter.draw();
    if (signal.aborted) return;
    state.ready = true;
    say();
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
}

async function load(signal) {
  if (!have.entries) await loadEntries(new Reader(ROOT, signal, tell));
  const reader = new Reader(new URL(`.${want.entry.path}`, ROOT), signal, tell);
  if (have.entry !== want.entry) {
    clear();
    const dataset = new Dataset(await reader.json("dataset_identity.json"));
    signal.throwIfAborted();
    Object.assign(have, { dataset, entry: want.entry });
    showDataset(dataset);
  }
  const { dataset } = have;
  const fields = have.fields ? null : dataset.fields(reader);
  fields?.catch(() => {}); // told below, should the points not fail before
  if (have.dimension !== want.dimension) {
    const points = await dataset.points(reader, want.dimension);
    signal.throwIfAborted();
    have.dimension = state.dimension = want.dimension;
    scatter.setPoints(points, have.dimension);
    showColour(); // a server that works live may need a while for the fields
  }
  await fields;
  signal.throwIfAborted();
  if (fields) showFields(dataset);
  have.fields = true;
  if (have.colour === want.colour) return;
  Object.assign(have, { colour: null, shown: null });
  showColour(); // no colours, should the request fail
  const shown = want.colour ? await dataset.colour(reader, want.colour) : null;
  signal.throwIfAborted();
  Object.assign(have, { colour: want.colour, shown });
  showColour();
}

async function loadEntries(reader) {
  const { datasets } = await reader.json("_cellucid/datasets");
  reader.signal.throwIfAborted();
  const here = new URL(location);
  here.searchParams.delete("token"); // the server has set a cookie
  if (here.href !== location.href) history.replaceState(null, "", here);
  const usable = datasets.filter((entry) => !entry.error);
  if (!usable.length) {
    const reasons = datasets.map(({ name, error }) => `${name}: ${error}`);
    throw new Error(["The server has no dataset to show.", ...reasons].join(" "));
  }
  have.entries = datasets;
  const asked = here.hash.slice(1);
  want.entry = usable.find(({ id }) => encodeURIComponent(id) === asked) ?? usable[0];
  $("switcher").hidden = datasets.length < 2;
  $("datasets").replaceChildren(...datasets.map((entry, i) => {
    const option = new Option(entry.error ? `${entry.name} (${entry.error})` : entry.name, i);
    return Object.assign(option, { disabled: !!entry.error, selected: entry === want.entry });
  }));
}

// --------------------------------------------------------------------------- what is shown

function clear() {
  Object.assign(have, NOTHING);
  Object.assign(state, { nCells: 0, colorBy: null, drawn: 0, dataset: null, dimension: 0 });
  Object.assign(want, { dimension: 0, colour: null });
  scatter.colours = new Uint8Array(0);
  genes.names = [];
  for (const id of ["counts", "dimensions", "color", "legend"]) $(id).replaceChildren();
  $("name").textContent = want.entry.name;
}

function showDataset({ identity, nCells }) {
  const { available_dimensions: dimensions, default_dimension: dimension } = identity.embeddings;
  Object.assign(state, { nCells, dataset: identity.id });
  $("name").textContent = document.title = identity.name;
  $("name").title = identity.description ?? "";
  $("counts").textContent = `${count(nCells)} cells · ${count(identity.stats.n_genes)} genes`;
  resize(Math.min(7, Math.max(1.5, Math.round(120 / nCells ** 0.28) / 2)));
  $("dimensions").replaceChildren(...dimensions.map((d) => {
    const button = element("button", "", `${d}D`);
    button.addEventListener("click", () => ask({ dimension: d }));
    return Object.assign(button, { type: "button", value: d });
  }));
  want.dimension = dimension;
  showWanted();
}

function showFields({ categorical, continuous, genes: known }) {
  const group = (label, keys) => {
    const options = [...keys].map((key) => new Option(key, `obs:${key}`));
    const made = element("optgroup", "", ...options);
    return options.length ? [Object.assign(made, { label })] : [];
  };
  $("color").replaceChildren(new Option("None", ""),
    ...group("Categorical", categorical.keys()), ...group("Continuous", continuous.keys()));
  genes.names = [...known.keys()];
  if (!known.size) $("gene").placeholder = "no genes";
  const first = [...categorical.values()].find(([, { length }]) => length > 1 && length < 255);
  want.colour ??= first ? `obs:${first[0]}` : "";
  showWanted();
}

/** The controls say what is wanted, also while it is on its way. */
function showWanted() {
  for (const button of $("dimensions").children) {
    button.ariaPressed = String(Number(button.value) === want.dimension);
  }
  const [kind, key] = split(want.colour ?? "");
  if (kind === "gene") {
    const group = $("gene-group") ?? element("optgroup");
    $("color").append(Object.assign(group, { id: "gene-group", label: "Genes" }));
    if (![...group.children].some(({ value }) => value === want.colour)) {
      group.append(new Option(key, want.colour));
    }
  }
  $("color").value = want.colour ?? "";
  $("gene").value = kind === "gene" ? key : "";
}

/** Colours and legend of what is loaded; called again when the theme changes. */
function showColour() {
  const { shown, dataset, colour } = have;
  const style = getComputedStyle(document.documentElement);
  const themed = (name) => style.getPropertyValue(name).trim();
  const title = split(colour ?? "")[1];
  scatter.background = themed("--canvas");
  state.colorBy = colour || null;
  if (shown?.rows) {
    const paint = () => {
      scatter.colours = lookUp(shown.codes, categoryTable(shown, themed("--missing")));
      const seen = shown.rows.filter(({ code }) => !shown.hidden.has(code));
      state.drawn = seen.reduce((n, { cells }) => n + cells, 0);
      if (state.ready) say();
    };
    showCategories($("legend"), shown, title, paint);
    paint();
    return;
  }
  state.drawn = dataset.nCells;
  if (shown) showValues($("legend"), shown, title);
  else $("legend").replaceChildren();
  scatter.colours = shown
    ? lookUp(shown.codes, valueTable(themed("--missing")))
    : plain(dataset.nCells, themed("--cells"));
}

function resize(pointSize) {
  scatter.pointSize = $("size").value = pointSize;
  $("size-shown").textContent = `${pointSize} px`;
  scatter.draw();
}

function say() {
  const { drawn, nCells, dimension } = state;
  const part = drawn === nCells ? "" : `${count(drawn)} of `;
  $("status").textContent = `${part}${count(nCells)} cells in ${dimension}D · ${HINTS[dimension]}`;
}

function tell(path, received) {
  const size = received > 1e6 ? ` ${(received / 1e6).toFixed(1)} MB` : "";
  $("status").textContent = `Loading ${path}…${size}`;
}

function fail({ path = null, status = null, message }) {
  state.error = { path, status, message };
  $("problem").textContent = path === null ? message : `Could not load ${message}`;
  $("error").hidden = false;
  $("status").textContent = "Something could not be loaded.";
}

// -------------------------------------------------------------------------- what is asked for

function ask(wish) {
  Object.assign(want, wish);
  showWanted();
  refresh();
}

const genes = new GeneInput($("gene"), $("matches"), (name) => ask({ colour: `gene:${name}` }));
$("color").addEventListener("change", () => ask({ colour: $("color").value }));
$("datasets").addEventListener("change", () => {
  want.entry = have.entries[$("datasets").value];
  history.replaceState(null, "", `#${encodeURIComponent(want.entry.id)}`);
  refresh();
});
$("size").addEventListener("input", () => resize(Number($("size").value)));
$("reset").addEventListener("click", () => scatter.camera.reset());
$("retry").addEventListener("click", refresh);
$("controls").addEventListener("submit", (event) => event.preventDefault());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (have.dimension) showColour();
});
refresh();
