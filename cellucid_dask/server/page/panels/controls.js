// The controls around the cells: they show the view and call actions when the user changes it.

import { changeDataset, changeView } from "../actions.js";
import { GROUP_COLUMN } from "../ask/groups.js";
import { canRedo, canUndo } from "../ask/history.js";
import { $, formatCount, formatCountOf } from "../dom.js";
import { showNotice } from "../messages.js";
import { showCellStatus } from "../messages.js";
import { published, subscribe, view } from "../state.js";
import { ColorSearch } from "./color-search.js";
import { EmbeddingChooser } from "./embedding-chooser.js";
import { openPanel } from "./sheet.js";
import { Shortcuts } from "./shortcuts.js";

const PREFERS_DARK = matchMedia("(prefers-color-scheme: dark)");

/** @typedef {import("../data/dataset.js").Dataset} Dataset */
/** @typedef {import("../link/link.js").View} View */
/** @typedef {import("../state.js").Entry} Entry */
/**
 * @typedef {object} Actions
 * @property {() => void} retry
 * @property {() => void} applyTheme
 * @property {() => void} undo
 * @property {() => void} redo
 * @property {() => void} copyLink
 * @property {() => void} resetCamera
 * @property {() => void} fitVisible
 * @property {() => void} zoomToSelection
 * @property {() => void} showStrayCells
 * @property {() => boolean} toggleLasso returns whether the lasso is on now
 * @property {(mode: import("../plot/lasso.js").Mode) => void} setLassoMode
 * @property {() => number} pointSize of the cells, in CSS pixels
 */

/**
 * "a b" of the path "/a%20b/"; without decoding if it is not UTF-8.
 *
 * @param {string} path
 */
function folderName(path) {
  const name = path.slice(1, -1);
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Listens to all controls and calls `actions`. */
export class Controls {
  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    this.colorSearch = new ColorSearch($("color-control"), {
      onChoose: (color) => changeView({ color }),
    });
    this.embeddingChooser = new EmbeddingChooser($("embedding-control"), { onChoose: changeView });
    this.#listenToViewControls();
    this.#listenToButtons();
    this.#listenToKeys();
    PREFERS_DARK.addEventListener("change", actions.applyTheme);
  }

  #listenToKeys() {
    const click = (/** @type {string} */ id) => () => $(id).click();
    this.shortcuts = new Shortcuts({
      search: () => {
        openPanel("color");
        this.colorSearch.focus();
      },
      previousColor: () => this.colorSearch.step(-1),
      nextColor: () => this.colorSearch.step(1),
      legend: () => {
        openPanel("color");
        const row = document.querySelector("#legend .entry[tabindex='0']")
          ?? document.querySelector("#legend :is(input, button)");
        /** @type {HTMLElement} */ (row)?.focus();
      },
      filters: () => {
        openPanel("cells");
        $("add-filter").focus();
      },
      lasso: () => {
        $("lasso").click();
        $("cells").focus(); // Enter selects what is in view
      },
      fit: () => $($("fit-visible").disabled ? "reset" : "fit-visible").click(),
      undo: click("undo"),
      redo: click("redo"),
      dimension: (d) => {
        if (this.embeddingChooser.chooseDimension(d)) return;
        showNotice(`This dataset has no embedding in ${d}D.`, { leaves: true });
      },
      theme: () => {
        const isDark = view.theme ? view.theme === "dark" : PREFERS_DARK.matches;
        changeView({ theme: isDark ? "light" : "dark" });
      },
    });
    $("help").addEventListener("click", () => this.shortcuts.toggleDialog());
  }

  #listenToViewControls() {
    /** @type {(id: string, listener: () => void) => void} */
    const onInput = (id, listener) => $(id).addEventListener("input", listener);
    /** @type {(id: string, listener: () => void) => void} */
    const onChange = (id, listener) => $(id).addEventListener("change", listener);
    onInput("size", () => {
      this.#updateSliderValues();
      changeView({ size: Number($("size").value) });
    });
    onInput("opacity", () => {
      this.#updateSliderValues();
      changeView({ opacity: Number($("opacity").value) });
    });
    onChange("datasets", () => changeDataset($("datasets").value));
    onChange("labels", () => changeView({ labels: $("labels").checked }));
    onChange("show-context", () =>
      changeView({ context: $("show-context").checked ? "grey" : "hide" }));
    onChange("edges", () => changeView({ edges: $("edges").checked }));
    onChange("vectors", () => changeView({ vectors: $("vectors").value }));
    onChange("theme", () => changeView({ theme: $("theme").value }));
    $("controls").addEventListener("submit", (/** @type {SubmitEvent} */ event) => event.preventDefault());
  }

  #listenToButtons() {
    const { actions } = this;
    /** @type {(element: HTMLElement, listener: () => void) => void} */
    const onClick = (element, listener) => element.addEventListener("click", listener);
    onClick($("lasso"), () => {
      const isActive = Boolean(actions.toggleLasso());
      $("lasso").ariaPressed = String(isActive);
      $("lasso-modes").hidden = !isActive;
      if (published.ready) showCellStatus();
    });
    /** @type {NodeListOf<HTMLButtonElement>} */
    const modes = $("lasso-modes").querySelectorAll("button");
    modes.forEach((button) => onClick(button, () => {
      actions.setLassoMode(/** @type {import("../plot/lasso.js").Mode} */ (button.value));
      modes.forEach((each) => { each.ariaPressed = String(each === button); });
    }));
    onClick($("reset"), actions.resetCamera);
    onClick($("fit-visible"), actions.fitVisible);
    onClick($("zoom-selection"), actions.zoomToSelection);
    onClick($("stray-cells").lastElementChild, actions.showStrayCells);
    onClick($("copy-link"), actions.copyLink);
    onClick($("undo"), actions.undo);
    onClick($("redo"), actions.redo);
    subscribe("history", () => {
      $("undo").disabled = !canUndo();
      $("redo").disabled = !canRedo();
    });
    this.#placeDisplaySettings();
    onClick($("retry"), actions.retry);
    onClick($("close-error"), () => {
      $("error").hidden = true;
    });
    onClick($("notice").lastElementChild, () => {
      $("notice").hidden = true;
    });
  }

  #placeDisplaySettings() {
    $("display").addEventListener("beforetoggle", () => {
      const { bottom, right } = $("display-button").getBoundingClientRect();
      Object.assign($("display").style, {
        top: `${bottom + 4}px`,
        left: `${Math.max(4, right - 250)}px`,
        maxHeight: `${innerHeight - bottom - 8}px`,
      });
    });
  }

  /**
   * Lists the datasets to choose from.
   *
   * @param {Entry[]} entries
   */
  showEntries(entries) {
    $("dataset-control").hidden = entries.length < 2;
    $("datasets").replaceChildren(...entries.map(({ name, path, error }) => {
      const isUnique = entries.filter((entry) => entry.name === name).length === 1;
      const details = [isUnique ? "" : folderName(path), error].filter(Boolean).join(": ");
      const option = new Option(details ? `${name} (${details})` : name, path);
      return Object.assign(option, { disabled: Boolean(error) });
    }));
  }

  /** @param {string} datasetName of the one that is loading */
  clear(datasetName) {
    this.colorSearch.clear();
    this.embeddingChooser.clear();
    for (const id of ["dataset-counts", "legend"]) $(id).replaceChildren();
    $("dataset-name").textContent = datasetName;
  }

  /** @param {Dataset} dataset */
  showDataset({ identity, nCells, nEdges, vectorFields, embeddings }) {
    $("dataset-name").textContent = document.title = identity.name;
    $("dataset-name").title = identity.description ?? "";
    const nGenes = identity.stats.n_genes;
    $("dataset-counts").textContent =
      `${formatCountOf(nCells, "cell")} · ${formatCountOf(nGenes, "gene")}`;
    this.embeddingChooser.show(embeddings);
    this.shortcuts.showDimensions(embeddings.map(({ dimension }) => dimension));
    $("edges-control").hidden = nEdges === 0;
    $("vectors-control").hidden = !Object.keys(vectorFields).length;
    const options = Object.entries(vectorFields).map(([id, { label, available_dimensions }]) =>
      Object.assign(new Option(label ?? id, id), { dimensions: available_dimensions }));
    $("vectors").replaceChildren(new Option("None", ""), ...options);
  }

  /** @param {Dataset} dataset */
  showFields(dataset) {
    this.colorSearch.show(dataset);
  }

  /**
   * Shows how many edges of a sample are drawn.
   *
   * @param {number | null} nDrawn null if there is no sample
   * @param {number} nEdges
   */
  showEdgeSample(nDrawn, nEdges) {
    $("edges-count").textContent =
      nDrawn === null ? "" : `${formatCount(nDrawn)} of ${formatCount(nEdges)}`;
  }

  /**
   * Shows the view, also while it is loading.
   *
   * @param {View} view
   */
  showView(view) {
    const { d, embedding, size, opacity, edges, vectors } = view;
    $("datasets").value = view.dataset;
    this.embeddingChooser.showView({ d, embedding });
    this.colorSearch.showGroups(GROUP_COLUMN, view.groups.length);
    this.colorSearch.value = view.color ?? "";
    $("size").value = size ?? this.actions.pointSize();
    $("opacity").value = opacity;
    $("labels").checked = view.labels;
    $("show-context").checked = view.context === "grey";
    $("edges").checked = edges;
    for (const option of $("vectors").options) {
      option.disabled = option.dimensions && (embedding || !option.dimensions.includes(d));
    }
    $("vectors").value = vectors;
    $("theme").value = view.theme;
    this.#updateSliderValues();
  }

  #updateSliderValues() {
    $("size-value").value = `${$("size").value} px`;
    $("opacity-value").value = `${Math.round(100 * $("opacity").value)}%`;
  }
}
