// A list of many rows of the same height: only those near the visible ones are in the document.

const ROW_HEIGHT = 26; // CSS pixels, as in legend.css
const MARGIN = 100; // rows in the document above and below the visible ones

/**
 * Rows of items. The list is one stop of the Tab key: up and down go from row to row, left and right
 * from control to control of a row.
 *
 * @template Item
 */
export class VirtualList {
  /** @type {Item[]} */
  #items = [];
  #active = 0; // row that the Tab key goes to
  #first = 0; // row in the document
  #end = 0;
  #width = 0; // of the list when its rows were created

  /**
   * @param {HTMLElement} element the list, which scrolls
   * @param {(item: Item) => HTMLElement} createRow a row whose controls include an ".entry"
   * @param {() => void} onRender called when there are other rows in the document
   */
  constructor(element, createRow, onRender) {
    this.element = element;
    this.createRow = createRow;
    this.onRender = onRender;
    element.addEventListener("scroll", () => this.#followScroll());
    element.addEventListener("keydown", (event) => this.#onKeyDown(event));
    element.addEventListener("focusin", ({ target }) => {
      this.#setActive(this.#indexOf(/** @type {Element} */ (target)));
    });
    new ResizeObserver(() => {
      if (element.clientWidth === this.#width) this.#followScroll();
      else this.render();
    }).observe(element);
  }

  /** @param {Item[]} items */
  show(items) {
    this.#items = items;
    this.#active = 0;
    this.element.scrollTop = 0;
    this.render();
  }

  /**
   * The item of the row that an element is in; undefined if there is none.
   *
   * @param {Element} element
   * @returns {Item | undefined}
   */
  itemOf(element) {
    return this.#items[this.#indexOf(element)];
  }

  /** Rows in the document and their items. */
  *rows() {
    for (let i = this.#first; i < this.#end; i++) {
      /** @type {[Element, Item]} */
      const row = [this.element.children[i - this.#first], this.#items[i]];
      yield row;
    }
  }

  /** Puts the rows near the visible ones into the document. */
  render() {
    const { element } = this;
    const focused = element.contains(document.activeElement) ? document.activeElement : null;
    const place = focused && [this.#indexOf(focused), controlsOf(focused).indexOf(focused)];
    const n = this.#items.length;
    const firstVisible = Math.floor(element.scrollTop / ROW_HEIGHT);
    this.#first = Math.max(0, Math.min(n, firstVisible) - MARGIN);
    this.#end = Math.min(n, firstVisible + Math.ceil(element.clientHeight / ROW_HEIGHT) + MARGIN);
    const rows = this.#items.slice(this.#first, this.#end).map((item, i) => {
      const row = this.createRow(item);
      row.setAttribute("aria-setsize", String(n));
      row.setAttribute("aria-posinset", String(this.#first + i + 1));
      return row;
    });
    this.#width = element.clientWidth;
    if (rows.length) { // margins stand for the rows that are not there
      rows[0].style.marginTop = `${this.#first * ROW_HEIGHT}px`;
      rows.at(-1).style.marginBottom = `${(n - this.#end) * ROW_HEIGHT}px`;
    }
    element.replaceChildren(...rows);
    this.#setActive(this.#active);
    this.onRender();
    if (place && this.#isThere(place[0])) this.#focus(place[0], place[1]);
  }

  #followScroll() {
    const firstVisible = Math.floor(this.element.scrollTop / ROW_HEIGHT);
    const lastVisible = firstVisible + Math.ceil(this.element.clientHeight / ROW_HEIGHT);
    const isNearStart = this.#first > 0 && firstVisible < this.#first + MARGIN / 2;
    const isNearEnd = this.#end < this.#items.length && lastVisible > this.#end - MARGIN / 2;
    if (isNearStart || isNearEnd) this.render();
  }

  /** @param {KeyboardEvent} event */
  #onKeyDown(event) {
    const target = /** @type {Element} */ (event.target);
    const [row, controls] = [this.#indexOf(target), controlsOf(target)];
    /** @type {Record<string, number>} */
    const rows = {
      ArrowDown: row + 1, ArrowUp: row - 1, Home: 0, End: this.#items.length - 1,
    };
    /** @type {Record<string, number>} */
    const columns = { ArrowRight: 1, ArrowLeft: -1 };
    if (event.key in rows) this.#focus(rows[event.key]);
    else if (event.key in columns) {
      this.#focus(row, controls.indexOf(target) + columns[event.key]);
    } else return;
    event.preventDefault();
  }

  /**
   * Focuses a control of a row, by default its entry.
   *
   * @param {number} row
   * @param {number} [control]
   */
  #focus(row, control) {
    if (row < 0 || row >= this.#items.length) return;
    if (!this.#isThere(row)) {
      this.element.scrollTop = row * ROW_HEIGHT;
      this.render();
    }
    const element = this.element.children[row - this.#first];
    const found = control === undefined ? element.querySelector(".entry")
      : controlsOf(element.firstElementChild)[control];
    if (found instanceof HTMLElement) found.focus();
  }

  /** @param {number} row */
  #isThere(row) {
    return row >= this.#first && row < this.#end;
  }

  /** @param {number} row */
  #setActive(row) {
    if (row < 0) return;
    this.#active = row;
    [...this.element.querySelectorAll(".entry")].forEach((entry, i) => {
      /** @type {HTMLElement} */ (entry).tabIndex = this.#first + i === row ? 0 : -1;
    });
  }

  /** @param {Element} element */
  #indexOf(element) {
    const row = element.closest("li");
    const at = row ? [...this.element.children].indexOf(row) : -1;
    return at < 0 ? -1 : this.#first + at;
  }
}

/**
 * The controls of the row that an element is in.
 *
 * @param {Element} element
 * @returns {Element[]}
 */
const controlsOf = (element) =>
  [...(element.closest("li")?.querySelectorAll("input, button") ?? [])];
