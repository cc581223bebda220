// The controls around the cells: they show the view and call actions when the user changes it.

import { splitColumnId } from "../data/dataset.js";
import { $, createButton, createElement, formatCount } from "../dom.js";
import { GeneInput } from "./gene-input.js";

/** "a b" of the path "/a%20b/"; without decoding if it is not UTF-8. */
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
  constructor(actions) {
    this.actions = actions;
    const chooseGene = (name) => actions.changeAndLoad({ color: `gene:${name}` });
    this.geneInput = new GeneInput($("gene"), $("gene-matches"), chooseGene);
    this.#listenToViewControls();
    this.#listenToButtons();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", actions.applyTheme);
  }

  #listenToViewControls() {
    const { actions } = this;
    const onInput = (id, listener) => $(id).addEventListener("input", listener);
    const onChange = (id, listener) => $(id).addEventListener("change", listener);
    onInput("size", () => {
      this.#updateSliderValues();
      actions.changeAppearance({ size: Number($("size").value) });
    });
    onInput("opacity", () => {
      this.#updateSliderValues();
      actions.changeAppearance({ opacity: Number($("opacity").value) });
    });
    onChange("color", () => actions.changeAndLoad({ color: $("color").value }));
    onChange("datasets", () => actions.changeDataset($("datasets").value));
    onChange("labels", () => actions.changeAppearance({ labels: $("labels").checked }));
    onChange("edges", () => actions.changeAndLoad({ edges: $("edges").checked }));
    onChange("vectors", () => actions.changeAndLoad({ vectors: $("vectors").value }));
    onChange("theme", () => {
      actions.changeAppearance({ theme: $("theme").value });
      actions.applyTheme();
    });
    $("controls").addEventListener("submit", (event) => event.preventDefault());
  }

  #listenToButtons() {
    const { actions } = this;
    const onClick = (element, listener) => element.addEventListener("click", listener);
    onClick($("lasso"), () => {
      $("lasso").ariaPressed = String(Boolean(actions.toggleLasso()));
    });
    onClick($("reset"), actions.resetCamera);
    onClick($("copy-link"), actions.copyLink);
    onClick($("save-picture"), actions.savePicture);
    onClick($("retry"), actions.reloadDataset);
    onClick($("notice").lastElementChild, () => {
      $("notice").hidden = true;
    });
  }

  /** Lists the datasets to choose from. */
  showEntries(entries) {
    $("dataset-control").hidden = entries.length < 2;
    $("datasets").replaceChildren(...entries.map(({ name, path, error }) => {
      const isUnique = entries.filter((entry) => entry.name === name).length === 1;
      const details = [isUnique ? "" : folderName(path), error].filter(Boolean).join(": ");
      const option = new Option(details ? `${name} (${details})` : name, path);
      return Object.assign(option, { disabled: Boolean(error) });
    }));
  }

  clear(datasetName) {
    this.geneInput.names = [];
    for (const id of ["dataset-counts", "dimensions", "color", "legend"]) $(id).replaceChildren();
    $("dataset-name").textContent = datasetName;
  }

  showDataset({ identity, nCells, nEdges, vectorFields }) {
    $("dataset-name").textContent = document.title = identity.name;
    $("dataset-name").title = identity.description ?? "";
    const nGenes = identity.stats.n_genes;
    $("dataset-counts").textContent =
      `${formatCount(nCells)} cells · ${formatCount(nGenes)} genes`;
    $("dimensions").replaceChildren(...identity.embeddings.available_dimensions.map((d) => {
      const button = createButton("", "", () => this.actions.changeAndLoad({ d }), `${d}D`);
      return Object.assign(button, { value: d });
    }));
    $("edges-control").hidden = !nEdges;
    $("vectors-control").hidden = !Object.keys(vectorFields).length;
    const options = Object.entries(vectorFields).map(([id, { label, available_dimensions }]) =>
      Object.assign(new Option(label ?? id, id), { dimensions: available_dimensions }));
    $("vectors").replaceChildren(new Option("None", ""), ...options);
  }

  showFields({ categorical, continuous, genes }) {
    const createGroup = (label, keys) => {
      const options = [...keys].map((key) => new Option(key, `obs:${key}`));
      const group = createElement("optgroup", "", ...options);
      return options.length ? [Object.assign(group, { label })] : [];
    };
    $("color").replaceChildren(new Option("None", ""),
      ...createGroup("Categorical", categorical.keys()),
      ...createGroup("Continuous", continuous.keys()));
    this.geneInput.names = [...genes.keys()];
    if (!genes.size) $("gene").placeholder = "no genes";
  }

  /** Shows how many edges of a sample are drawn; null if there is no sample. */
  showEdgeSample(nDrawn, nEdges) {
    $("edges-count").textContent =
      nDrawn === null ? "" : `${formatCount(nDrawn)} of ${formatCount(nEdges)}`;
  }

  /** Shows the view, also while it is loading. */
  showView({ d, color, size, opacity, labels, edges, vectors, theme, dataset }) {
    $("datasets").value = dataset;
    for (const button of $("dimensions").children) {
      button.ariaPressed = String(Number(button.value) === d);
    }
    this.#showColor(color);
    $("size").value = size ?? this.actions.pointSize();
    $("opacity").value = opacity;
    $("labels").checked = labels;
    $("edges").checked = edges;
    for (const option of $("vectors").options) {
      option.disabled = option.dimensions && !option.dimensions.includes(d);
    }
    $("vectors").value = vectors;
    $("theme").value = theme;
    this.#updateSliderValues();
  }

  /** Shows the column in the list of columns, to which genes are added when they are chosen. */
  #showColor(color) {
    const [kind, key] = splitColumnId(color ?? "");
    if (kind === "gene") {
      const group = $("gene-group") ?? createElement("optgroup");
      $("color").append(Object.assign(group, { id: "gene-group", label: "Genes" }));
      if (![...group.children].some(({ value }) => value === color)) {
        group.append(new Option(key, color));
      }
    }
    $("color").value = color ?? "";
    $("gene").value = kind === "gene" ? key : "";
  }

  #updateSliderValues() {
    $("size-value").value = `${$("size").value} px`;
    $("opacity-value").value = `${Math.round(100 * $("opacity").value)}%`;
  }
}
