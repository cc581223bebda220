// The columns of a dataset to search in: obs columns, and genes by symbol and id.

import { ChoiceList, searchLists } from "./choices.js";
import { formatCountOf } from "../dom.js";

/** @typedef {import("./choices.js").Choice} Choice */
/** @typedef {import("./choices.js").SearchResult} SearchResult */

/**
 * @typedef {object} Columns
 * @property {Iterable<[string, number]>} categories Keys, and how many categories each has.
 * @property {Iterable<string>} values Keys of continuous obs columns.
 * @property {Choice[]} genes
 */

/** @type {Choice} */
const NO_COLUMN = { value: "", label: "None" };

/** All columns of a dataset, to search in. */
export class ColumnIndex {
  /** @type {Map<string, Choice>} */
  #byId = new Map();

  /** @param {Columns} columns */
  constructor({ categories, values, genes }) {
    this.lists = [
      new ChoiceList("Categories", [...categories].map(([key, count]) => ({
        value: `obs:${key}`,
        label: key,
        detail: formatCountOf(count, "category", "categories"),
      }))),
      new ChoiceList("Values", [...values].map((key) => ({ value: `obs:${key}`, label: key }))),
    ];
    this.genes = new ChoiceList("Genes", genes, { findsDetails: true });
    for (const { choices } of [...this.lists, this.genes]) {
      for (const choice of choices) this.#byId.set(choice.value, choice);
    }
    this.groups = new ChoiceList("Groups of cells", []);
  }

  /**
   * Adds the column of the groups of cells that the user made; none if there are no groups.
   *
   * @param {string} columnId
   * @param {number} count
   */
  setGroups(columnId, count) {
    const detail = formatCountOf(count, "group");
    const choice = { value: columnId, label: "Groups", detail };
    this.#byId.set(columnId, choice);
    this.groups = new ChoiceList("Groups of cells", count ? [choice] : []);
  }

  /**
   * Ids of the columns without genes, in the order of the list.
   *
   * @returns {string[]}
   */
  get columnIds() {
    return [...this.lists, this.groups].flatMap(({ choices }) => choices.map(({ value }) => value));
  }

  /** @param {string} columnId */
  has(columnId) {
    return this.#byId.has(columnId);
  }

  /**
   * Name of a column: "CD3E · ENSG00000198851" of a gene with a symbol.
   *
   * @param {string} columnId
   */
  describe(columnId) {
    const choice = this.#byId.get(columnId);
    if (!choice) return columnId.slice(columnId.indexOf(":") + 1);
    const { label, detail } = choice;
    return columnId.startsWith("gene:") && detail ? `${label} · ${detail}` : label;
  }

  /**
   * What the list of a search box shows for a text.
   *
   * @param {string} typed
   * @param {{recent?: string[], hasNone?: boolean}} [options] Ids of the columns used last, and
   *   whether no column is a choice, too.
   * @returns {SearchResult}
   */
  search(typed, { recent = [], hasNone = false } = {}) {
    const text = typed.trim();
    const none = new ChoiceList("", hasNone ? [NO_COLUMN] : []);
    if (text) {
      const found = searchLists([...this.lists, this.genes, this.groups, none], text);
      return found.groups.length ? found : { ...found, note: this.#describeNoMatch() };
    }
    const used = recent.map((id) => this.#byId.get(id)).filter(Boolean);
    const groups = [none, { label: "Recent", choices: used }, ...this.lists, this.groups];
    const nGenes = this.genes.choices.length;
    return {
      groups: groups.filter(({ choices }) => choices.length),
      note: nGenes ? `Type to search ${formatCountOf(nGenes, "gene")}` : "No genes",
    };
  }

  #describeNoMatch() {
    const { length } = this.genes.choices;
    if (length < 2) return `No column${length ? " or gene" : ""} matches.`;
    return `No column and none of the ${formatCountOf(length, "gene")} matches.`;
  }
}

/**
 * The columns and genes of a dataset.
 *
 * @param {import("./dataset.js").Dataset} dataset
 */
export const createColumnIndex = ({ categorical, continuous, geneNames }) => new ColumnIndex({
  categories: [...categorical].map(([key, [, names]]) => [key, names.length]),
  values: continuous.keys(),
  genes: geneNames.choices,
});
