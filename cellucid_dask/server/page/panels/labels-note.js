// The note of a legend on why the plot has no labels.

import { createElement } from "../dom.js";

/** Creates the note, hidden; the display fills it when it has placed the labels. */
export const createLabelsNote = () =>
  Object.assign(createElement("p", "note"), { id: "labels-note", hidden: true });
