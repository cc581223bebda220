// What a lasso selected: how many cells of which category, and their row numbers to download.

import { $, count, element, save } from "./elements.js";
import { swatch } from "./legend.js";

const MOST = 200; // rows of counts

/** The panel of the selection. `load(key)` gives the column of a categorical field. */
export class Selection {
  marks = null; // a byte for each cell, 1 where it is selected
  #rows = []; // numbers of the selected cells, from 0, in order
  #asked = 0;
  #chosen = false; // whether the user said what to count by

  constructor({ load, clear }) {
    this.load = load;
    $("unselect").addEventListener("click", clear);
    $("count-by").addEventListener("change", () => {
      this.#chosen = true;
      this.#showCounts();
    });
    $("rows").addEventListener("click", () => this.#download());
  }

  /** Fields to count by. */
  set fields(keys) {
    this.#chosen = false;
    $("count-by").replaceChildren(...keys.map((key) => new Option(key, key)));
    $("count-by-control").hidden = !keys.length;
  }

  /** Shows the cells that are marked and seen; counts by `key`, where there is a choice. */
  show(marks, seen, key, name) {
    Object.assign(this, { marks, name });
    $("selection").hidden = !marks;
    if (!marks) return;
    this.#rows = [];
    for (let i = 0; i < marks.length; i++) if (marks[i] && seen(i)) this.#rows.push(i);
    const n = this.#rows.length;
    $("selected").textContent = `${count(n)} cell${n === 1 ? "" : "s"} selected`;
    $("rows").disabled = !n;
    if (key && !this.#chosen) $("count-by").value = key;
    this.#showCounts();
  }

  async #showCounts() {
    const asked = ++this.#asked;
    const key = $("count-by").value;
    if (!key) return;
    const column = await Promise.resolve(this.load(key)).catch((error) => ({ error }));
    if (asked !== this.#asked || !this.marks) return;
    if (column.error) {
      $("counted").replaceChildren(element("li", "note", `Could not load ${column.error.message}`));
      return;
    }
    const counts = new Uint32Array(column.missing + 1);
    for (const i of this.#rows) counts[column.codes[i]]++;
    const some = column.rows.filter(({ code }) => counts[code])
      .sort((a, b) => counts[b.code] - counts[a.code]);
    $("counted").replaceChildren(...some.slice(0, MOST).map(({ name, code, cells }) => {
      const share = `of ${count(cells)}`;
      return element("li", "counted", swatch(code, column), element("span", "text", name),
        element("span", "number", count(counts[code]), " ", element("small", "", share)));
    }));
    if (some.length > MOST) {
      $("counted").append(element("li", "note", `and ${count(some.length - MOST)} more`));
    }
  }

  #download() {
    const text = `${this.#rows.join("\n")}\n`;
    save(new Blob([text], { type: "text/plain" }), `${this.name}-rows.txt`);
  }
}
