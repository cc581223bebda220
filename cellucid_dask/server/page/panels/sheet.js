// Which panels are shown: in a wide window both, and a button hides that of the cells; in a small one
// one of them, or none, as sheet.css has it.

import { $ } from "../dom.js";

const PANELS = { "sheet-color": "color", "sheet-cells": "cells" }; // by the id of the button
const IN_WIDE = matchMedia("(min-width: 1000px) and (min-height: 481px)");
// Windows in which a panel leaves the plot most of the space.
const IN_ROOMY = matchMedia("(min-width: 621px) and (min-height: 481px)");

const findMain = () => /** @type {HTMLElement} */ (document.querySelector("main"));

/** @param {string} panel the one to show in a small window; "" for none */
function show(panel) {
  findMain().dataset.sheet = panel;
  for (const [id, name] of Object.entries(PANELS)) $(id).ariaExpanded = String(name === panel);
}

/** @param {boolean} isOpen whether a wide window has the panel of the cells */
function showCellsPanel(isOpen) {
  $("cells-panel").toggleAttribute("data-closed", !isOpen);
  $("cells-button").ariaExpanded = String(isOpen);
}

/**
 * Shows a panel that may be closed.
 *
 * @param {"color" | "cells"} panel
 */
export function openPanel(panel) {
  if (!IN_WIDE.matches) show(panel);
  else if (panel === "cells") showCellsPanel(true);
}

/** Listens to the buttons of the panels. */
export function addPanels() {
  const main = findMain();
  for (const [id, panel] of Object.entries(PANELS)) {
    $(id).addEventListener("click", () => show(main.dataset.sheet === panel ? "" : panel));
  }
  $("cells-button").addEventListener("click",
    () => showCellsPanel("closed" in $("cells-panel").dataset));
  main.addEventListener("keydown", ({ key, defaultPrevented }) => {
    if (key === "Escape" && !defaultPrevented && !IN_ROOMY.matches) show("");
  });
  const start = () => show(IN_ROOMY.matches ? "color" : "");
  IN_ROOMY.addEventListener("change", start);
  start();
}
