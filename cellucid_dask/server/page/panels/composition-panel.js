// The panel of the composition: bars of one column split by another, over the plot.

import { GROUP_COLUMN } from "../ask/groups.js";
import { countOnes } from "../ask/masks.js";
import { readThemeColors } from "../color/appearance.js";
import { categoryCssColor } from "../color/palette.js";
import { cssColor } from "../color/rgb.js";
import { countSharedCells, createGroupMasks, createSetMask } from "../data/cell-sets.js";
import { areSourcesLoaded } from "../data/sources.js";
import { $, formatCount, formatCountOf, saveFile } from "../dom.js";
import { countDrawn, drawBars, heightOfBars, layoutSplits } from "../figure/composition-chart.js";
import { createChartPng, createChartSvg } from "../figure/composition-files.js";
import { countComposition, countSets, formatComposition, sortBars } from "../figure/composition.js";
import { drawLegend } from "../figure/legend.js";
import { SvgContext } from "../figure/svg-context.js";
import { createSvgElement } from "../figure/svg-nodes.js";
import { loaded, subscribe, view } from "../state.js";
import { afterPress } from "./after-press.js";
import { CompositionChoices } from "./composition-choices.js";

/** @typedef {import("../data/columns.js").CategoricalColumn} CategoricalColumn */
/** @typedef {import("../figure/composition.js").Composition} Composition */
/** @typedef {{columns: CategoricalColumn[], composition: Composition}} Shown */

const SCREEN_COLORS = { text: "var(--text)", muted: "var(--muted)", line: "var(--border)" };
const FILE_IDS = ["csv", "svg", "png"]; // of the buttons that save what is shown

export class CompositionPanel {
  #lastRequest = 0;
  #frameRequest = 0;
  /** @type {Shown | null} */
  #shown = null;
  #sharedNote = ""; // on cells that are in several groups

  /** @param {(columnId: string) => Promise<import("../data/columns.js").Column>} readColumn */
  constructor(readColumn) {
    /** @type {(ids: string[]) => Promise<CategoricalColumn[]>} */
    this.readColumns = (ids) =>
      Promise.all(ids.map((id) => /** @type {Promise<CategoricalColumn>} */ (readColumn(id))));
    this.choices = new CompositionChoices({
      readColumns: this.readColumns,
      onChange: () => this.#update(),
      onReverse: () => this.#draw(),
    });
    $("composition-button").addEventListener("click", () =>
      ($("composition").hidden ? this.#open() : this.#close()));
    $("composition-close").addEventListener("click", () => this.#close());
    $("composition").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") this.#close();
    });
    $("composition-csv").addEventListener("click", () => this.#saveTable());
    $("composition-svg").addEventListener("click", () => this.#savePicture("svg"));
    $("composition-png").addEventListener("click", () => this.#savePicture("png"));
    // For fingers, which cannot rest on a part to see its title.
    $("composition-chart").addEventListener("click", (/** @type {MouseEvent} */ { target }) => {
      const title = /** @type {Element} */ (target).closest("g:has(> title)")?.firstElementChild;
      if (title) $("composition-note").textContent = title.textContent;
    });
    subscribe("dataset", () => this.#updateSoon());
    subscribe("cells", () => this.#updateSoon());
    subscribe("view", (parts) => parts.includes("colors") && this.#updateSoon());
    new ResizeObserver(() => this.#draw()).observe($("composition-chart"));
    this.#show(null); // no file before there are bars
  }

  #open() {
    $("composition").hidden = false;
    $("composition-button").ariaExpanded = "true";
    this.#update();
    this.choices.focus();
  }

  #close() {
    $("composition").hidden = true;
    $("composition-button").ariaExpanded = "false";
    $("composition-button").focus();
  }

  /** Whether it is open, and what it needs is loaded; "cells" comes again when that is so. */
  get #isReady() {
    return !$("composition").hidden && loaded.hasFields && areSourcesLoaded();
  }

  /** Once for all changes before the next frame, which shows the cells first. */
  #updateSoon() {
    if ($("composition").hidden) return;
    this.#frameRequest ||= requestAnimationFrame(() => setTimeout(() => {
      this.#frameRequest = 0;
      afterPress(this.#update);
    }));
  }

  /** Counts and draws again, for what is chosen and visible now. */
  #update = async () => {
    if (!this.#isReady) return;
    const request = ++this.#lastRequest;
    if (this.choices.list()) {
      await this.choices.improveBars();
      if (request !== this.#lastRequest) this.#updateSoon(); // a later one has the first choice
      if (request !== this.#lastRequest || !this.#isReady) return;
    }
    const ids = this.choices.columnIds;
    if (!ids[0]) {
      this.#showNothing("This dataset has no categorical column.");
      return;
    }
    const columns = await this.readColumns(ids).catch((error) => {
      if (request === this.#lastRequest) this.#showNothing(`Could not load ${error.message}`);
    });
    if (!columns || request !== this.#lastRequest || !this.#isReady) return;
    const [bars, split] = columns;
    const { cells } = this.choices;
    const mask = createSetMask(cells);
    const isOfGroups = ids[0] === GROUP_COLUMN;
    const composition = isOfGroups ? countSets(createGroupMasks(), split, mask)
      : countComposition(bars, split, mask);
    if (!composition.nCells) {
      this.#showNothing(explainNoCells(cells, mask));
      return;
    }
    const hasGroups = isOfGroups || ids[1] === GROUP_COLUMN;
    this.#sharedNote = hasGroups ? describeShared(countSharedCells(mask), isOfGroups) : "";
    this.#show({ columns, composition });
    this.choices.listOrders(composition.splits);
    this.#draw();
  };

  /** @param {Shown | null} shown */
  #show(shown) {
    this.#shown = shown;
    for (const id of FILE_IDS) $(`composition-${id}`).disabled = !shown;
  }

  /** @param {string} message */
  #showNothing(message) {
    this.#show(null);
    if (!this.choices.hasOrders) this.choices.listOrders([]);
    $("composition-note").textContent = message;
    $("composition-chart").replaceChildren();
    $("composition-legend").replaceChildren();
  }

  /**
   * What to draw.
   *
   * @param {string} missing CSS color
   * @param {string} others CSS color of the categories that have no part of their own
   */
  #createChart(missing, others) {
    const { columns: [barColumn, split], composition } = this.#shown;
    const colorOf = (/** @type {number | null} */ code) => (code === null
      ? others : categoryCssColor(split, code, view.colors) ?? missing);
    const bars = this.#sortBars(composition);
    return {
      barKey: barColumn.key,
      bars: bars.slice(0, countDrawn(bars.length, composition.splits.length)),
      splits: composition.splits.map((each) => ({ ...each, color: colorOf(each.code) })),
      splitKey: split.key,
      isShare: this.choices.isShare,
      width: Math.max(240, $("composition-chart").clientWidth - 4),
    };
  }

  #draw() {
    if (!this.#shown || $("composition").hidden) return;
    const { bars, nCells } = this.#shown.composition;
    const chart = this.#createChart("var(--missing)", "var(--muted)");
    const context = new SvgContext();
    drawBars(context, chart, SCREEN_COLORS);
    const picture = context.createPicture(chart.width, heightOfBars(chart.bars.length));
    $("composition-chart").replaceChildren(createSvgElement(picture));
    const { legend, layout } = layoutSplits(chart, Infinity);
    const legendContext = new SvgContext();
    drawLegend(legendContext, legend, layout, SCREEN_COLORS);
    const legendPicture = legendContext.createPicture(layout.width, layout.height);
    $("composition-legend").replaceChildren(createSvgElement(legendPicture));
    const more = bars.length - chart.bars.length;
    $("composition-chart").ariaLabel = `${chart.barKey}, split by ${chart.splitKey}`;
    $("composition-note").textContent = [
      formatCountOf(nCells, "cell"),
      formatCountOf(bars.length, "bar"),
      ...(more ? [`the last ${formatCount(more)} are only in the CSV`] : []),
      ...(this.#sharedNote ? [this.#sharedNote] : []),
    ].join(" · ");
  }

  /** @param {Composition} composition */
  #sortBars(composition) {
    return sortBars(composition, this.choices.order, this.choices.isReversed);
  }

  /** @param {string} extension */
  #fileName(extension) {
    const [bars, split] = this.#shown.columns;
    return `${loaded.dataset.identity.id}-${bars.key}-by-${split.key}.${extension}`;
  }

  #saveTable() {
    const { composition } = this.#shown;
    const bars = this.#sortBars(composition);
    const text = formatComposition({ ...composition, bars });
    saveFile(new Blob([text], { type: "text/csv" }), this.#fileName("csv"));
  }

  /** @param {"svg" | "png"} format */
  async #savePicture(format) {
    const name = this.#fileName(format);
    const colors = readThemeColors("light"); // whatever theme the page has
    const [text, muted, missing, line, ground] =
      ["text", "muted", "missing", "context", "canvas"].map((key) => cssColor(colors[key]));
    const createPicture = format === "svg" ? createChartSvg : createChartPng;
    const chart = this.#createChart(missing, muted);
    saveFile(await createPicture(chart, { text, muted, line, ground }), name);
  }
}

/**
 * Why there are no bars.
 *
 * @param {string} cells the set of cells that is chosen
 * @param {Uint8Array | null} mask of it
 */
function explainNoCells(cells, mask) {
  if (!mask || countOnes(mask)) return "None of these cells is in a group.";
  if (cells.startsWith("group:")) return "This group has no cells.";
  return loaded.nVisible ? "No selected cell is visible." : "No cell passes all filters.";
}

/**
 * @param {number} nShared cells that are in several groups
 * @param {boolean} countsInEach whether such a cell counts in each of its groups
 */
function describeShared(nShared, countsInEach) {
  if (!nShared) return "";
  const isOne = nShared === 1;
  const where = `${isOne ? "it counts" : "they count"} in ${countsInEach ? "each" : "the last"}`;
  return `${formatCountOf(nShared, "cell")} ${isOne ? "is" : "are"} in several groups: ${where}`;
}
