// What of a view the dataset cannot show.

import { GROUP_COLUMN } from "../ask/groups.js";
import { chooseEmbedding, dropUnusableColumns, dropUnusableMarks } from "../link/unusable-parts.js";
import { showNotice } from "../messages.js";
import { loaded, problems, view } from "../state.js";
import { describeUnknownColor, NO_GROUPS } from "./choose-column.js";

/**
 * Makes a view that a file holds one that the dataset can show, and says what it lacks.
 *
 * @param {import("../link/link.js").View} wanted
 * @param {string} hash of the cells
 */
export function checkView(wanted, hash) {
  const { dataset } = loaded;
  chooseEmbedding(wanted, dataset, problems);
  dropUnusableMarks(wanted, dataset, problems);
  dropUnusableColumns(wanted, dataset, problems, hash);
  const { color } = wanted;
  const isKnown = color === GROUP_COLUMN ? wanted.groups.length : color && dataset.hasColumn(color);
  if (!isKnown) {
    if (color) problems.push(color === GROUP_COLUMN ? NO_GROUPS : describeUnknownColor(color));
    Object.assign(wanted, { color: view.color, range: view.range, log: view.log });
  }
  showProblems();
}

/** Says what of the link cannot be shown, all at once. */
export function showProblems() {
  const lines = new Set(problems.splice(0));
  if (lines.size === 1) showNotice([...lines][0]);
  else if (lines.size) showNotice("These parts cannot be shown. The page shows the rest:", { lines: [...lines] });
}
