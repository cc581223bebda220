// Helpers for all parts of the page: DOM elements, formatted numbers, width of
// text, files to save.

/**
 * The element with an id; what kind of element it is only index.html knows.
 *
 * @type {(id: string) => any}
 */
export const $ = (id) => document.getElementById(id);
/** Matches if the user has fingers for a pointer, which cannot point without touching. */
export const HAS_FINGERS = matchMedia("(pointer: coarse)");

/** @param {number} n */
export const formatCount = (n) => n.toLocaleString("en");
/**
 * "1 cell", "5,000 cells": a count with its noun.
 *
 * @param {number} n
 * @param {string} noun of one
 * @param {string} [plural]
 */
export const formatCountOf = (n, noun, plural = `${noun}s`) =>
  `${formatCount(n)} ${n === 1 ? noun : plural}`;
/** @param {number} x */
export const formatNumber = (x) => {
  const isPlain = x === 0 || (Math.abs(x) >= 1e-4 && Math.abs(x) < 1e9);
  const notation = isPlain ? "standard" : "scientific"; // else a number is wider than the page
  return x.toLocaleString("en", { maximumSignificantDigits: 4, notation });
};
/**
 * The name of a category or group as it is shown: an empty text is no sight, and names that differ
 * in spaces at an end, or in the number of spaces, would look the same.
 *
 * @param {string} name
 */
export const showName = (name) =>
  name.replace(/^ +| +$| {2,}/g, (spaces) => "␣".repeat(spaces.length)) || "(empty name)";

/**
 * An element with a name as it is shown; one that is empty looks different from any other.
 *
 * @param {string} className
 * @param {string} name
 */
export const createName = (className, name) =>
  createElement("span", name ? className : `${className} unnamed`.trim(), showName(name));

/**
 * "12%" of a share, with a digit more for a small or a large one; "" of nothing. Never 0% of some, nor
 * 100% of some and not all.
 *
 * @param {number} count
 * @param {number} total
 */
export function formatShare(count, total) {
  if (!count) return "";
  const percent = (100 * count) / total;
  if (percent < 0.1) return "<0.1%";
  if (percent > 99.9 && count < total) return ">99.9%";
  const needsDigit = percent < 9.95 || (percent >= 99 && count < total);
  return `${percent.toFixed(needsDigit ? 1 : 0)}%`;
}

/**
 * An element of a class, with texts or elements as children.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} [className]
 * @param {(string | Node)[]} children
 */
export function createElement(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/**
 * @param {string} className
 * @param {string} title
 * @param {(event: MouseEvent) => void} onClick
 * @param {(string | Node)[]} children
 */
export function createButton(className, title, onClick, ...children) {
  const button = createElement("button", className, ...children);
  button.addEventListener("click", onClick);
  return Object.assign(button, { type: "button", title });
}

/**
 * Width of a text in a font, in its pixels.
 *
 * @type {(text: string, font: string) => number}
 */
export const measureText = (() => {
  /** @type {CanvasRenderingContext2D} */
  let context;
  return (text, font) => {
    context ??= document.createElement("canvas").getContext("2d");
    context.font = font;
    return context.measureText(text).width;
  };
})();

/**
 * "very long … name" of a text that is longer than `max` characters: its start and its end tell more
 * than its middle.
 *
 * @param {string} text
 * @param {number} max
 */
export function cutMiddle(text, max) {
  const characters = [...text];
  if (characters.length <= max) return text;
  const end = Math.floor((max - 1) * 0.4);
  const start = characters.slice(0, max - 1 - end).join("").trimEnd();
  return `${start}…${characters.slice(characters.length - end).join("").trimStart()}`;
}

/**
 * Saves a blob as a download; characters that file names may not have become "_".
 *
 * @param {Blob} blob
 * @param {string} name
 */
export function saveFile(blob, name) {
  const link = Object.assign(document.createElement("a"), {
    href: URL.createObjectURL(blob),
    download: name.replace(/[^\w.-]+/g, "_"),
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
