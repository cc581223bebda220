// The gene input: an autocomplete that stays fast with tens of thousands of names.

import { createElement } from "../dom.js";

const MAX_MATCHES = 30;

/** Calls `onSelect(name)` when the user chooses a gene with the keyboard or the pointer. */
export class GeneInput {
  #names = [];
  #lowerCaseNames = [];
  #matches = [];
  #activeIndex = 0;

  constructor(input, list, onSelect) {
    this.input = input;
    this.list = list;
    this.onSelect = onSelect;
    input.addEventListener("input", () => this.#open());
    input.addEventListener("focus", () => {
      input.select();
      this.#open();
    });
    input.addEventListener("blur", () => this.#close());
    input.addEventListener("keydown", (event) => this.#onKeyDown(event));
    list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // keeps the focus in the input
      const index = [...list.children].indexOf(event.target);
      if (index >= 0) this.#select(index);
    });
  }

  /** The genes to choose from. */
  set names(names) {
    this.#names = names;
    this.#lowerCaseNames = names.map((name) => name.toLowerCase());
    this.input.value = "";
    this.input.disabled = !names.length;
    this.input.placeholder = names.length ? `e.g. ${names[0]}` : "";
    this.#close();
  }

  /** Names equal to the text, then those that start with it, then those that contain it. */
  #search(text) {
    const [equal, starting, containing] = [[], [], []];
    this.#lowerCaseNames.forEach((name, i) => {
      const at = name.indexOf(text);
      const group = name === text ? equal : at === 0 ? starting : containing;
      if (at >= 0 && group.length < MAX_MATCHES) group.push(this.#names[i]);
    });
    return [...equal, ...starting, ...containing].slice(0, MAX_MATCHES);
  }

  #open() {
    this.#matches = this.#search(this.input.value.trim().toLowerCase());
    this.list.replaceChildren(...this.#matches.map((name, index) => {
      const option = createElement("li", "", name);
      return Object.assign(option, { id: `match-${index}`, role: "option" });
    }));
    this.list.hidden = false;
    this.input.ariaExpanded = "true";
    if (this.#matches.length) this.#activate(0);
    else {
      this.list.append(createElement("li", "no-match", "no gene matches"));
      this.input.removeAttribute("aria-activedescendant");
    }
  }

  #activate(activeIndex) {
    this.#activeIndex = activeIndex;
    [...this.list.children].forEach((option, index) => {
      option.ariaSelected = String(index === activeIndex);
    });
    this.list.children[activeIndex].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", `match-${activeIndex}`);
  }

  #onKeyDown(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") this.#close();
    if (event.key !== "Enter" && !step) return;
    event.preventDefault();
    const { length } = this.#matches;
    if (this.list.hidden) this.#open();
    else if (event.key === "Enter") this.#select(this.#activeIndex);
    else if (length) this.#activate((this.#activeIndex + step + length) % length);
  }

  #select(index) {
    if (index >= this.#matches.length) return;
    this.#close();
    this.onSelect(this.#matches[index]);
    this.input.select(); // the next key begins another name
  }

  #close() {
    this.list.hidden = true;
    this.input.ariaExpanded = "false";
    this.input.removeAttribute("aria-activedescendant");
  }
}
