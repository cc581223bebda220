// What genes are called: many datasets have ids of Ensembl and symbols.

/** @typedef {import("./choices.js").Choice} Choice */

const ENSEMBL = /^ENS[A-Z]{0,4}G\d{11}/;

/** The ids of genes, and another name of each. */
export class GeneNames {
  #ids;
  #otherNames;
  /** @type {Map<string, string[]>} */
  #idsByOtherName = new Map();

  /**
   * @param {string[]} ids
   * @param {(string | null)[]} otherNames In the order of the ids; null where a gene has none.
   */
  constructor(ids, otherNames) {
    this.#ids = ids;
    this.#otherNames = new Map(ids.map((id, i) => [id, otherNames[i]]));
    for (const [id, name] of this.#otherNames) {
      if (name) this.#idsByOtherName.set(name, [...this.find(name), id]);
    }
  }

  /**
   * Ids of the genes that have this name besides their id.
   *
   * @param {string} name
   */
  find(name) {
    return this.#idsByOtherName.get(name) ?? [];
  }

  /**
   * Symbol and id, the symbol first; only the id if there is no other name.
   *
   * @param {string} id
   */
  namesOf(id) {
    const other = this.#otherNames.get(id);
    if (!other) return [id];
    return ENSEMBL.test(id) && !ENSEMBL.test(other) ? [other, id] : [id, other];
  }

  /**
   * The symbol of a gene; with the id if other genes have it, too.
   *
   * @param {string} id
   */
  describe(id) {
    const names = this.namesOf(id);
    return this.find(names[0]).length > 1 ? names.join(" · ") : names[0];
  }

  /** @returns {Choice[]} */
  get choices() {
    return this.#ids.map((id) => {
      const [label, detail] = this.namesOf(id);
      return { value: `gene:${id}`, label, detail };
    });
  }
}
