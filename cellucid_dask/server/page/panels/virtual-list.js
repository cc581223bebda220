// A list of many rows of the same height: only those near the visible ones are in the document.

const MARGIN = 100; // rows in the document above and below the visible ones

/**
 * Rows of items. The list is one stop of the Tab key: up and down go from row to row, left and right
 * from control to control of a row.
 *
 * The list scrolls, or a panel that it is in. Its style has the height of a row: `--row-height`.
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
   * @param {HTMLElement} element the list
   * @param {(item: Item) => HTMLElement} createRow a row whose controls include an ".entry"
   * @param {() => void} onRender called when there are other rows in the document
   */
  constructor(element, createRow, onRender) {
    this.element = element;
    this.createRow = createRow;
    this.onRender = onRender;
    element.addEventListener("keydown", (event) => this.#onKeyDown(event));
    element.addEventListener("focusin", ({ target }) => {
      this.#setActive(this.#indexOf(/** @type {Element} */ (target)));
    });
    new ResizeObserver(() => {
      if (element.clientWidth === this.#width) this.followScroll();
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

  /** In CSS pixels: the height of a row, what scrolls, and how far it is below the first row. */
  #measure() {
    const { element } = this;
    const rowHeight = parseFloat(getComputedStyle(element).getPropertyValue("--row-height"));
    const scroller = findScroller(element);
    const start = element.getBoundingClientRect().top - element.scrollTop;
    return { rowHeight, scroller, scrolled: scroller.getBoundingClientRect().top - start };
  }

  /** The first row in view, the one after the last, and the height of a row. */
  #findVisible() {
    const { rowHeight, scroller, scrolled } = this.#measure();
    const first = Math.max(0, Math.floor(scrolled / rowHeight));
    const end = Math.ceil((scrolled + scroller.clientHeight) / rowHeight);
    return { first, end, rowHeight };
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
    const { first, end, rowHeight } = this.#findVisible();
    this.#first = Math.max(0, Math.min(n, first) - MARGIN);
    this.#end = Math.min(n, Math.max(0, end) + MARGIN);
    const rows = this.#items.slice(this.#first, this.#end).map((item, i) => {
      const row = this.createRow(item);
      row.setAttribute("aria-setsize", String(n));
      row.setAttribute("aria-posinset", String(this.#first + i + 1));
      return row;
    });
    this.#width = element.clientWidth;
    if (rows.length) { // margins stand for the rows that are not there
      rows[0].style.marginTop = `${this.#first * rowHeight}px`;
      rows.at(-1).style.marginBottom = `${(n - this.#end) * rowHeight}px`;
    }
    element.replaceChildren(...rows);
    this.#setActive(this.#active);
    this.onRender();
    if (place && this.#isThere(place[0])) this.#focus(place[0], place[1]);
  }

  /** Puts other rows into the document if these are soon out of view. */
  followScroll() {
    const { first, end } = this.#findVisible();
    const isNearStart = this.#first > 0 && first < this.#first + MARGIN / 2;
    const isNearEnd = this.#end < this.#items.length && end > this.#end - MARGIN / 2;
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
      const { rowHeight, scroller, scrolled } = this.#measure();
      scroller.scrollTop += row * rowHeight - scrolled;
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
 * The element with whose content another one scrolls: itself, or one that it is in.
 *
 * @param {Element} element
 * @returns {Element}
 */
function findScroller(element) {
  const isScroller = getComputedStyle(element).overflowY !== "visible";
  return isScroller || !element.parentElement ? element : findScroller(element.parentElement);
}

/**
 * The controls of the row that an element is in.
 *
 * @param {Element} element
 * @returns {Element[]}
 */
const controlsOf = (element) =>
  [...(element.closest("li")?.querySelectorAll("input, button") ?? [])];
