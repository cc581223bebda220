// The gene input: completion that stays quick with tens of thousands of names.

import { element } from "./elements.js";

const SHOWN = 30;

/** Calls `pick(name)` for a gene that was chosen by keyboard or pointer. */
export class GeneInput {
  #names = [];
  #folded = [];
  #found = [];
  #active = 0;

  constructor(input, list, pick) {
    Object.assign(this, { input, list, pick });
    input.addEventListener("input", () => this.#open());
    input.addEventListener("focus", () => {
      input.select();
      this.#open();
    });
    input.addEventListener("blur", () => this.#close());
    input.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // keeps the focus in the input
      const index = [...list.children].indexOf(event.target);
      if (index >= 0) this.#choose(index);
    });
  }

  /** What there is to choose from. */
  set names(names) {
    this.#names = names;
    this.#folded = names.map((name) => name.toLowerCase());
    this.input.value = "";
    this.input.disabled = !names.length;
    this.input.placeholder = names.length ? `e.g. ${names[0]}` : "";
    this.#close();
  }

  /** Names that are the text, then those that start with it, then those that hold it. */
  #search(text) {
    const [same, starts, holds] = [[], [], []];
    this.#folded.forEach((name, i) => {
      const at = name.indexOf(text);
      const kind = name === text ? same : at === 0 ? starts : holds;
      if (at >= 0 && kind.length < SHOWN) kind.push(this.#names[i]);
    });
    return [...same, ...starts, ...holds].slice(0, SHOWN);
  }

  #open() {
    this.#found = this.#search(this.input.value.trim().toLowerCase());
    this.list.replaceChildren(...this.#found.map((name, index) => {
      const option = element("li", "", name);
      return Object.assign(option, { id: `match-${index}`, role: "option" });
    }));
    this.list.hidden = false;
    this.input.ariaExpanded = "true";
    if (this.#found.length) this.#mark(0);
    else {
      this.list.append(element("li", "nothing", "no such gene"));
      this.input.removeAttribute("aria-activedescendant");
    }
  }

  #mark(active) {
    this.#active = active;
    [...this.list.children].forEach((option, index) => {
      option.ariaSelected = String(index === active);
    });
    this.list.children[active].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", `match-${active}`);
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") this.#close();
    if (event.key !== "Enter" && !step) return;
    event.preventDefault();
    if (this.list.hidden) this.#open();
    else if (event.key === "Enter") this.#choose(this.#active);
    else if (this.#found.length) {
      this.#mark((this.#active + step + this.#found.length) % this.#found.length);
    }
  }

  #choose(index) {
    if (index >= this.#found.length) return;
    this.#close();
    this.pick(this.#found[index]);
    this.input.select(); // what is typed next is another gene
  }

  #close() {
    this.list.hidden = true;
    this.input.ariaExpanded = "false";
    this.input.removeAttribute("aria-activedescendant");
  }
}
