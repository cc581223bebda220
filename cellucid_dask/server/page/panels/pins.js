// Pinned columns, whose values the tooltip shows: the button that pins the one that colors the cells,
// and the list of all, to remove them.

import { changeView } from "../actions.js";
import { columnName } from "../ask/describe.js";
import { GROUP_COLUMN } from "../ask/groups.js";
import { $, createButton, createElement } from "../dom.js";
import { MAX_PINS } from "../link/link.js";
import { loaded, subscribe, view } from "../state.js";

/** Connects the button and the list with the view. */
export function addPins() {
  $("pin").addEventListener("click", () => {
    const isPinned = view.pins.includes(view.color);
    if (isPinned) dropPin(view.color);
    else changeView({ pins: [...view.pins, view.color] });
  });
  subscribe("dataset", showPins);
  subscribe("view", showPins);
}

/** @param {string} columnId */
const dropPin = (columnId) => changeView({ pins: view.pins.filter((pin) => pin !== columnId) });

function showPins() {
  if (!loaded.hasFields) return;
  const isPinned = view.pins.includes(view.color);
  $("pin").hidden = !view.color || view.color === GROUP_COLUMN;
  $("pin").ariaPressed = String(isPinned);
  $("pin").disabled = !isPinned && view.pins.length >= MAX_PINS;
  $("pins-control").hidden = !view.pins.length;
  const hadFocus = $("pins").contains(document.activeElement);
  $("pins").replaceChildren(...view.pins.map((pin) => {
    const name = columnName(pin, loaded.dataset);
    const drop = createButton("small-button", `No longer show ${name} in the tooltip`,
      () => dropPin(pin), "×");
    return createElement("li", "filter-chip", createElement("span", "text", name), drop);
  }));
  if (hadFocus) ($("pins").querySelector("button") ?? $("display-button")).focus();
}
