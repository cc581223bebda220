// The sheet of a phone: the plot has the screen, and the panels come up from its lower edge.

import { $ } from "../dom.js";

const PANELS = { "sheet-color": "color", "sheet-cells": "cells" }; // by the id of the button

/** Listens to the buttons of the sheet, which are there on a narrow screen only. */
export function addSheet() {
  const main = /** @type {HTMLElement} */ (document.querySelector("main"));
  const show = (/** @type {string} */ panel) => {
    main.dataset.sheet = panel;
    for (const [id, name] of Object.entries(PANELS)) $(id).ariaExpanded = String(name === panel);
  };
  for (const [id, panel] of Object.entries(PANELS)) {
    $(id).addEventListener("click", () => show(main.dataset.sheet === panel ? "" : panel));
  }
  main.addEventListener("keydown", ({ key, defaultPrevented }) => {
    if (key === "Escape" && !defaultPrevented) show("");
  });
  show("");
}
