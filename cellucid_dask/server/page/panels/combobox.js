// A text input with a list of choices below it, as the combobox pattern of WAI-ARIA 1.2 has it: the
// focus stays in the input, and the arrow keys go through the list.

import { createElement } from "../dom.js";

/** @typedef {import("../data/choices.js").Choice} Choice */
/** @typedef {import("../data/choices.js").ChoiceGroup} ChoiceGroup */
/** @typedef {import("../data/choices.js").SearchResult} SearchResult */

const PAGE = 10; // choices that a page key passes
const MARGIN = 8; // CSS pixels between the list and the edge of the window
const LEAST_HEIGHT = 180; // with less room below, the list is above the input

export class Combobox {
  /** @type {Choice[]} */
  #choices = []; // those in the list, of all groups
  /** @type {HTMLElement[]} */
  #options = []; // their elements
  #activeIndex = -1;
  #name = ""; // of what is chosen; stands in the input while the list is closed
  #isTyped = false; // whether the text in the input is what the user looks for

  /**
   * Fills `container` with a label, an input with the id `id`, and the list.
   *
   * @param {HTMLElement} container
   * @param {object} options
   * @param {string} options.id
   * @param {string} options.label
   * @param {(text: string) => SearchResult} options.search
   * @param {(value: string) => void} options.onChoose
   */
  constructor(container, { id, label, search, onChoose }) {
    this.search = search;
    this.onChoose = onChoose;
    this.value = "";
    /** @type {HTMLInputElement} */
    this.input = Object.assign(createElement("input"), {
      id, type: "text", autocomplete: "off", spellcheck: false, role: "combobox",
      ariaAutoComplete: "list", ariaExpanded: "false", ariaHasPopup: "listbox",
    });
    this.input.setAttribute("aria-controls", `${id}-list`);
    /** @type {HTMLElement} */
    this.list = Object.assign(createElement("div", "choices"), {
      id: `${id}-list`, role: "listbox", ariaLabel: label,
    });
    this.note = Object.assign(createElement("p", "note"), { role: "status" });
    /** @type {HTMLElement} */
    this.popup = createElement("div", "choice-popup", this.list, this.note);
    this.popup.popover = "manual"; // on top of all, and not cut by the panel around it
    container.append(
      Object.assign(createElement("label", "", label), { htmlFor: id }),
      createElement("div", "combobox", this.input), this.popup);
    this.#listen();
  }

  /**
   * Shows what is chosen.
   *
   * @param {string} value
   * @param {string} name
   */
  show(value, name) {
    this.value = value;
    this.#name = name;
    this.input.title = name;
    if (!this.#isTyped) this.#showName();
  }

  /** Shows what is chosen in place of what was typed. */
  #showName() {
    this.input.defaultValue = this.#name; // so that Ctrl+Z finds nothing typed here to take back
    this.input.value = this.#name;
  }

  /** Puts the cursor into the input, and opens the list. */
  focus() {
    this.input.focus();
    this.#open();
  }

  get isOpen() {
    return this.input.ariaExpanded === "true";
  }

  #listen() {
    const { input, list } = this;
    input.addEventListener("focus", () => input.select());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("mousedown", (event) => {
      if (this.isOpen) return;
      event.preventDefault(); // else the click takes back the selection of the text
      input.focus();
      input.select();
      this.#open();
    });
    input.addEventListener("input", () => {
      this.#isTyped = true;
      this.#open();
    });
    input.addEventListener("keydown", (event) => this.#onKeyDown(event));
    this.popup.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the focus
    list.addEventListener("click", ({ target }) => {
      const option = /** @type {Element} */ (target).closest("[role='option']");
      this.#choose(this.#options.indexOf(/** @type {HTMLElement} */ (option)));
    });
    const place = () => this.isOpen && this.#place();
    for (const type of ["resize", "scroll"]) { // also when a keyboard covers a part
      visualViewport.addEventListener(type, place);
    }
    addEventListener("scroll", place, { capture: true, passive: true });
  }

  /** @param {KeyboardEvent} event */
  #onKeyDown(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    const { key } = event;
    if (key === "Escape" && (this.isOpen || this.#isTyped)) this.close();
    else if (key === "Escape") return this.input.blur(); // now keys are shortcuts again
    else if (key === "Enter" && this.isOpen) this.#confirm();
    else if (["ArrowDown", "ArrowUp", "Enter"].includes(key) && !this.isOpen) this.#open();
    else if (key === "ArrowUp" && event.altKey) this.close();
    else if (!this.isOpen || event.shiftKey || event.altKey || !this.#move(key)) return;
    event.preventDefault();
    event.stopPropagation(); // Escape, for one, also has a meaning elsewhere
  }

  /**
   * Goes to another choice; false if the key does not do that.
   *
   * @param {string} key
   */
  #move(key) {
    const last = this.#choices.length - 1;
    const at = this.#activeIndex;
    const to = {
      ArrowDown: at < last ? at + 1 : 0, ArrowUp: at > 0 ? at - 1 : last,
      PageDown: Math.min(last, at + PAGE), PageUp: Math.max(0, at - PAGE), Home: 0, End: last,
    }[key];
    if (to === undefined) return false;
    if (last >= 0) this.#activate(to);
    return true;
  }

  #open() {
    const { groups, note } = this.search(this.#isTyped ? this.input.value : "");
    this.input.ariaInvalid = null;
    this.#choices = [];
    this.#options = [];
    this.list.replaceChildren(...groups.flatMap((group, i) => this.#createGroup(group, i)));
    this.list.hidden = !groups.length;
    this.note.textContent = note;
    this.note.hidden = !note;
    if (!this.isOpen) {
      this.input.ariaExpanded = "true";
      this.popup.showPopover();
      this.#place();
    }
    const current = this.#choices.findIndex(({ value }) => value === this.value);
    this.#activate(this.#isTyped ? 0 : Math.max(0, current));
  }

  /**
   * The options of a group below its label, if it has one.
   *
   * @param {ChoiceGroup} group
   * @param {number} index
   */
  #createGroup({ label, choices }, index) {
    const options = choices.map((choice) => this.#createOption(choice));
    if (!label) return options;
    const heading = createElement("div", "choice-heading", label);
    heading.id = `${this.input.id}-group-${index}`;
    const group = Object.assign(createElement("div", "", heading, ...options), { role: "group" });
    group.setAttribute("aria-labelledby", heading.id);
    return group;
  }

  /** @param {Choice} choice */
  #createOption(choice) {
    const { value, label, detail, isDisabled = false } = choice;
    const parts = detail ? [" ", createElement("small", "", detail)] : [];
    const option = createElement("div", "choice", createElement("span", "text", label), ...parts);
    option.classList.toggle("current", value === this.value);
    option.dataset.value = value;
    const id = `${this.input.id}-option-${this.#choices.length}`;
    this.#choices.push(choice);
    const title = detail ? `${label} · ${detail}` : label;
    this.#options.push(option);
    return Object.assign(option, { id, role: "option", title, ariaSelected: "false", ariaDisabled: String(isDisabled) });
  }

  /** @param {number} index */
  #activate(index) {
    const last = this.#options[this.#activeIndex];
    if (last) last.ariaSelected = "false";
    this.#activeIndex = index;
    const active = this.#options[index];
    if (!active) {
      this.input.removeAttribute("aria-activedescendant");
      return;
    }
    active.ariaSelected = "true";
    if (index) active.scrollIntoView({ block: "nearest" });
    else this.list.scrollTop = 0; // shows the heading above, too
    this.input.setAttribute("aria-activedescendant", active.id);
  }

  /** Chooses what is active; says that nothing is chosen if nothing matches. */
  #confirm() {
    if (this.#choices.length) this.#choose(this.#activeIndex);
    else if (this.input.ariaInvalid !== "true") {
      this.input.ariaInvalid = "true";
      this.note.textContent = `Nothing is chosen. ${this.note.textContent}`;
    }
  }

  /** @param {number} index */
  #choose(index) {
    const choice = this.#choices[index];
    if (!choice || choice.isDisabled) return;
    this.close();
    this.onChoose(choice.value);
    this.input.select(); // the next key begins another name
  }

  close() {
    this.#isTyped = false;
    this.#showName();
    this.input.ariaInvalid = null;
    this.input.ariaExpanded = "false";
    this.input.removeAttribute("aria-activedescendant");
    this.popup.hidePopover();
  }

  /** Puts the list below the input, or above it if there is too little room. */
  #place() {
    const { left, top, bottom, width } = this.input.getBoundingClientRect();
    const { height, offsetTop } = visualViewport;
    const [above, below] = [top - offsetTop, offsetTop + height - bottom];
    const isBelow = below >= LEAST_HEIGHT || below >= above;
    const { style } = this.popup;
    style.minWidth = `${width}px`;
    style.maxWidth = `${Math.max(width, innerWidth - left - MARGIN)}px`;
    style.maxHeight = `${(isBelow ? below : above) - MARGIN}px`;
    style.left = `${left}px`;
    style.top = isBelow ? `${bottom + 2}px` : "auto";
    style.bottom = isBelow ? "auto" : `${innerHeight - top + 2}px`;
  }
}
