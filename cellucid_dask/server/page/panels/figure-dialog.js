// The dialog that saves a figure: its format, size, resolution and colors.

import { $, formatCount, saveFile } from "../dom.js";
import { isDrawable, pixelSize } from "../figure/figure-layout.js";
import { TOO_LARGE } from "../figure/figure.js";
import { explainNoNumber, readNumber } from "./number-box.js";

/** @typedef {import("../figure/figure-layout.js").FigureOptions} FigureOptions */

/**
 * What the dialog asks of the plot.
 *
 * @typedef {object} FigureSource
 * @property {() => boolean} isReady whether there is something to save
 * @property {(options: FigureOptions) => import("../figure/figure-layout.js").FigureLayout} layoutFigure
 * @property {(options: FigureOptions) => number} suggestHeight in millimeters
 * @property {(options: FigureOptions) => Promise<[Blob, string]>} createFigure
 * @property {(message: string) => void} showNotice
 */

const NUMBER_IDS = ["figure-width", "figure-height", "figure-dpi", "figure-text"];

/**
 * Makes a box of the dialog invalid that does not have a number from its lowest to its highest one.
 *
 * @param {string} id
 */
function checkNumber(id) {
  const box = $(id);
  const value = readNumber(box.value);
  const { min, max } = box.dataset;
  const isInRange = value >= Number(min) && value <= Number(max);
  const [label] = box.labels[0].textContent.trim().split(" (");
  const isText = Number.isNaN(value) && box.value.trim() !== "";
  const reason = isText ? explainNoNumber(box.value) : `Choose a number from ${min} to ${max}.`;
  box.setCustomValidity(isInRange ? "" : `${label}: ${reason}`);
}

/** Opens with the button *Save figure*. */
export class FigureDialog {
  #isHeightChosen = false; // by the user; else it follows the width

  /** @param {FigureSource} source */
  constructor(source) {
    this.source = source;
    $("save-figure").addEventListener("click", () => source.isReady() && this.#open());
    $("figure-cancel").addEventListener("click", () => $("figure-dialog").close());
    $("figure-height").addEventListener("input", () => {
      this.#isHeightChosen = $("figure-height").value !== "";
    });
    $("figure-dialog").addEventListener("input", () => this.#update());
    $("figure-dialog").firstElementChild.addEventListener("submit", () => this.#save());
  }

  #open() {
    this.#isHeightChosen = false;
    $("figure-dialog").showModal();
    this.#update();
  }

  /** @returns {FigureOptions} */
  get #options() {
    const number = (/** @type {string} */ id) => readNumber($(id).value);
    return {
      format: $("figure-format").value,
      width: number("figure-width"),
      height: number("figure-height"),
      dpi: number("figure-dpi"),
      textSize: number("figure-text"),
      ground: $("figure-ground").value,
    };
  }

  /** Says what the figure will be; the height follows the width until the user chooses it. */
  #update() {
    NUMBER_IDS.forEach(checkNumber);
    const isValid = (/** @type {string} */ id) => $(id).validity.valid;
    if (!this.#isHeightChosen && isValid("figure-width") && isValid("figure-text")) {
      $("figure-height").value = this.source.suggestHeight(this.#options);
      checkNumber("figure-height");
    }
    const wrong = NUMBER_IDS.find((id) => !isValid(id));
    const areAllValid = wrong === undefined;
    const note = areAllValid ? this.#describe(this.#options) : $(wrong).validationMessage;
    $("figure-note").textContent = note;
    $("figure-save").disabled = !areAllValid || note === TOO_LARGE;
  }

  /** @param {FigureOptions} options */
  #describe(options) {
    const pixels = pixelSize(options);
    if (!isDrawable(pixels)) return TOO_LARGE;
    const size = `${pixels.map(formatCount).join(" × ")} pixels.`;
    const { legend } = this.source.layoutFigure(options);
    if (!legend) return size;
    const { nShown, nMore, scale } = legend;
    if (nMore) {
      return `${size} The legend has room for ${formatCount(nShown)} of ` +
        `${formatCount(nShown + nMore)} rows; enlarge the figure for more.`;
    }
    const points = Number((options.textSize * scale).toFixed(1));
    return scale < 1 ? `${size} The legend has ${points} pt, to have room for all rows.` : size;
  }

  async #save() {
    try {
      saveFile(...await this.source.createFigure(this.#options));
    } catch (error) {
      this.source.showNotice(error.message);
    }
  }
}
