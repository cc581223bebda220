// Boxes for numbers. They take text: a browser that does not have the comma of a decimal leaves it out
// of a box of the type "number", and makes 15 of 1,5.

import { createElement } from "../dom.js";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const MAX_QUOTED = 20; // characters of what was typed

/** @param {Partial<HTMLInputElement>} properties */
export const createNumberBox = (properties) => Object.assign(createElement("input"), {
  type: "text", autocomplete: "off", spellcheck: false, ...properties,
});

/**
 * The number that a text says; NaN for one that says none, or has a comma, which is a decimal in some
 * countries and separates thousands in others.
 *
 * @param {string} text
 */
export function readNumber(text) {
  const plain = text.trim().replace("\u2212", "-"); // the minus sign of typesetters
  return NUMBER.test(plain) ? Number(plain) : NaN;
}

/**
 * What to do about a text that says no number.
 *
 * @param {string} text
 */
export const explainNoNumber = (text) => (text.includes(",")
  ? `${quote(text)} has a comma: write decimals with a point, as 1.5, and thousands as 1500.`
  : `${quote(text)} is not a number.`);

/** @param {string} text */
const quote = (text) =>
  `"${text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text}"`;
