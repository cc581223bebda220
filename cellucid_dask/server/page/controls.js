// The controls around the cells: they show what is wanted and say what is asked for.

import { split } from "./data.js";
import { $, button, count, element } from "./elements.js";
import { GeneInput } from "./genes.js";

/** "a b" of "/a%20b/"; as it is where it is no UTF-8. */
function folder(path) {
  try {
    return decodeURIComponent(path.slice(1, -1));
  } catch {
    return path.slice(1, -1);
  }
}

/** Listens to all controls; `act` holds what they do. */
export class Controls {
  constructor(act) {
    this.act = act;
    const gene = (name) => act.ask({ color: `gene:${name}` });
    this.genes = new GeneInput($("gene"), $("matches"), gene);
    const on = (id, type, listener) => $(id).addEventListener(type, listener);
    on("color", "change", () => act.ask({ color: $("color").value }));
    on("datasets", "change", () => act.changeDataset($("datasets").value));
    on("size", "input", () => this.#slide(() => act.painted({ size: Number($("size").value) })));
    on("opacity", "input", () =>
      this.#slide(() => act.painted({ opacity: Number($("opacity").value) })));
    on("labels", "change", () => act.painted({ labels: $("labels").checked }));
    on("edges", "change", () => act.ask({ edges: $("edges").checked }));
    on("vectors", "change", () => act.ask({ vectors: $("vectors").value }));
    on("theme", "change", () => {
      act.painted({ theme: $("theme").value });
      act.themed();
    });
    on("lasso", "click", () => {
      const pressed = act.lasso();
      $("lasso").ariaPressed = String(Boolean(pressed));
    });
    on("reset", "click", act.reset);
    on("copy", "click", act.copyLink);
    on("picture", "click", act.savePicture);
    on("retry", "click", act.retry);
    on("controls", "submit", (event) => event.preventDefault());
    $("notice").lastElementChild.addEventListener("click", () => {
      $("notice").hidden = true;
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", act.themed);
  }

  /** Datasets to switch between. */
  set entries(entries) {
    $("switcher").hidden = entries.length < 2;
    $("datasets").replaceChildren(...entries.map(({ name, path, error }) => {
      const alone = entries.filter((entry) => entry.name === name).length === 1;
      const more = [alone ? "" : folder(path), error].filter(Boolean).join(": ");
      const option = new Option(more ? `${name} (${more})` : name, path);
      return Object.assign(option, { disabled: Boolean(error) });
    }));
  }

  clear(name) {
    this.genes.names = [];
    for (const id of ["counts", "dimensions", "color", "legend"]) $(id).replaceChildren();
    $("name").textContent = name;
  }

  showDataset({ identity, nCells, nEdges, vectorFields }) {
    $("name").textContent = document.title = identity.name;
    $("name").title = identity.description ?? "";
    $("counts").textContent = `${count(nCells)} cells · ${count(identity.stats.n_genes)} genes`;
    $("dimensions").replaceChildren(...identity.embeddings.available_dimensions.map((d) => {
      const made = button("", "", () => this.act.ask({ d }), `${d}D`);
      return Object.assign(made, { value: d });
    }));
    $("edges-control").hidden = !nEdges;
    $("vectors-control").hidden = !Object.keys(vectorFields).length;
    const fields = Object.entries(vectorFields).map(([id, { label, available_dimensions }]) =>
      Object.assign(new Option(label ?? id, id), { dimensions: available_dimensions }));
    $("vectors").replaceChildren(new Option("None", ""), ...fields);
  }

  showFields({ categorical, continuous, genes }) {
    const group = (label, keys) => {
      const options = [...keys].map((key) => new Option(key, `obs:${key}`));
      const made = element("optgroup", "", ...options);
      return options.length ? [Object.assign(made, { label })] : [];
    };
    $("color").replaceChildren(new Option("None", ""),
      ...group("Categorical", categorical.keys()), ...group("Continuous", continuous.keys()));
    this.genes.names = [...genes.keys()];
    if (!genes.size) $("gene").placeholder = "no genes";
  }

  /** [drawn, all] where not all edges are drawn. */
  set edgesShown(numbers) {
    const [drawn, all] = numbers ?? [];
    $("edges-shown").textContent = numbers ? `${count(drawn)} of ${count(all)}` : "";
  }

  /** Says what is wanted, also while it is on its way. */
  show({ d, color, size, opacity, labels, edges, vectors, theme, dataset }) {
    $("datasets").value = dataset;
    for (const each of $("dimensions").children) {
      each.ariaPressed = String(Number(each.value) === d);
    }
    const [kind, key] = split(color ?? "");
    if (kind === "gene") {
      const group = $("gene-group") ?? element("optgroup");
      $("color").append(Object.assign(group, { id: "gene-group", label: "Genes" }));
      if (![...group.children].some(({ value }) => value === color)) {
        group.append(new Option(key, color));
      }
    }
    $("color").value = color ?? "";
    $("gene").value = kind === "gene" ? key : "";
    $("size").value = size ?? this.act.size();
    $("opacity").value = opacity;
    $("labels").checked = labels;
    $("edges").checked = edges;
    for (const option of $("vectors").options) {
      option.disabled = option.dimensions && !option.dimensions.includes(d);
    }
    $("vectors").value = vectors;
    $("theme").value = theme;
    this.#slide(() => {});
  }

  #slide(changed) {
    $("size-shown").value = `${$("size").value} px`;
    $("opacity-shown").value = `${Math.round(100 * $("opacity").value)}%`;
    changed();
  }
}
