// Lists of choices, and which of them match a text. Fast enough to run at each key with tens of
// thousands of names.

import { formatCount } from "../dom.js";

/**
 * Something to choose.
 *
 * @typedef {object} Choice
 * @property {string} value
 * @property {string} label
 * @property {string} [detail] What tells it apart from others with the same label.
 * @property {boolean} [isDisabled] Whether it cannot be chosen; the detail says why.
 */

/** @typedef {{label: string, choices: Choice[]}} ChoiceGroup */
/** @typedef {{groups: ChoiceGroup[], note: string}} SearchResult */

const MAX_MATCHES = 30; // of each group
const collator = new Intl.Collator("en", { numeric: true });
const [SAME, EQUAL, PREFIX, WORD_START, INSIDE, NO_MATCH] = [0, 1, 2, 3, 4, 5]; // ranks

/** In lower case; spaces stand for what separates words, so "cell type" finds "cell_type". */
const normalize = (/** @type {string} */ text) => text.toLowerCase().replace(/[\s_.-]/g, " ");

/** Whether a character code is neither a letter nor a digit; all beyond ASCII count as letters. */
const isSeparator = (/** @type {number} */ code) =>
  code < 48 || (code > 57 && code < 65) || (code > 90 && code < 97) || (code > 122 && code < 128);

/**
 * How well a normalized name matches a normalized text.
 *
 * @param {string} name
 * @param {string} text
 */
function rankMatch(name, text) {
  let at = name.indexOf(text);
  if (at < 0) return NO_MATCH;
  if (at === 0) return name.length === text.length ? EQUAL : PREFIX;
  for (; at > 0; at = name.indexOf(text, at + 1)) {
    if (isSeparator(name.charCodeAt(at - 1))) return WORD_START;
  }
  return INSIDE;
}

/**
 * Puts a choice where its name belongs among the first ones: "CD4" before "CD14". To keep only so
 * many is much faster than to sort all.
 *
 * @param {Choice[]} first
 * @param {Choice} choice
 */
function insertByName(first, choice) {
  const isBefore = (/** @type {Choice} */ other) => collator.compare(choice.label, other.label) < 0;
  if (first.length === MAX_MATCHES) {
    if (!isBefore(first.at(-1))) return;
    first.pop();
  }
  let [low, high] = [0, first.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBefore(first[middle])) high = middle;
    else low = middle + 1;
  }
  first.splice(low, 0, choice);
}

/** The choices of one group, with normalized names to search in. */
export class ChoiceList {
  #labels;
  #details; // normalized, if they are names, too

  /**
   * @param {string} label
   * @param {Choice[]} choices
   * @param {{findsDetails?: boolean}} [options] Whether the details are names to search in.
   */
  constructor(label, choices, { findsDetails = false } = {}) {
    this.label = label;
    this.choices = choices;
    this.#labels = choices.map((choice) => normalize(choice.label));
    this.#details = choices.map(({ detail }) =>
      (findsDetails && detail ? normalize(detail) : null));
  }

  /**
   * The best matches, the rank of the first one, and how many there are in all.
   *
   * @param {string} text
   */
  search(text) {
    const wanted = normalize(text);
    /** @type {Choice[][]} */
    const byScore = [];
    let count = 0;
    this.choices.forEach((choice, i) => {
      const score = this.#score(i, text, wanted);
      if (score >= 2 * NO_MATCH) return;
      count++;
      insertByName((byScore[score] ??= []), choice);
    });
    const choices = byScore.flat().slice(0, MAX_MATCHES);
    const rank = Math.max(EQUAL, Math.floor(byScore.findIndex(Boolean) / 2));
    return { label: this.label, choices, rank, count };
  }

  /**
   * How well choice `i` matches: two for each rank, and one more if it is by its detail.
   *
   * @param {number} i
   * @param {string} text
   * @param {string} wanted The text, normalized.
   */
  #score(i, text, wanted) {
    const { label, detail } = this.choices[i];
    const rank = rankMatch(this.#labels[i], wanted);
    if (rank === EQUAL && label === text) return 2 * SAME;
    if (this.#details[i] === null) return 2 * rank;
    const detailRank = rankMatch(this.#details[i], wanted);
    if (detailRank === EQUAL && detail === text) return 2 * SAME + 1;
    return Math.min(2 * rank, 2 * detailRank + 1);
  }
}

/**
 * The choices that match a text, the best of each list. The list with the best match comes
 * first; equally good ones keep their order.
 *
 * @param {ChoiceList[]} lists
 * @param {string} text
 * @returns {SearchResult}
 */
export function searchLists(lists, text) {
  const found = lists.map((list) => list.search(text)).filter(({ count }) => count);
  found.sort((a, b) => a.rank - b.rank);
  const more = found.filter(({ choices, count }) => count > choices.length)
    .map(({ label, choices, count }) => `${formatCount(count - choices.length)} more in ${label}`);
  return {
    groups: found.map(({ label, choices }) => ({ label, choices })),
    note: found.length ? more.join(", ") : "Nothing matches",
  };
}
