// The legend of a categorical field: hides and finds categories, and filters outliers.

import { createButton, createElement, formatCount } from "../dom.js";
import { createSwatch } from "./swatch.js";

const MAX_ENTRIES = 500; // more entries make the page slow and help nobody
const MIN_FOR_SEARCH = 24; // from so many categories on there is a search box

/**
 * Shows the legend of a categorical field in `container`.
 *
 * hidden: set of the codes that are hidden; the legend changes it, then calls `onHiddenChange()`.
 * onQuantileChange(quantile): for the outlier filter; null for no filter.
 */
export function showCategoryLegend(
  container, column, hidden, { onHiddenChange, quantile, onQuantileChange },
) {
  const { categories, key } = column;
  const list = createElement("ul", "entries");
  const note = createElement("p", "note");
  let listed = [];
  const updatePressed = () => [...list.children].forEach((item, i) => {
    item.firstElementChild.ariaPressed = String(!hidden.has(listed[i].code));
  });
  const hideOnly = (codes) => {
    hidden.clear();
    codes.forEach((code) => hidden.add(code));
    updatePressed();
    onHiddenChange();
  };
  const allCodes = categories.map(({ code }) => code);
  const toggle = (code) =>
    hideOnly(hidden.has(code) ? [...hidden].filter((other) => other !== code) : [...hidden, code]);
  const showOnly = (code) => {
    const isOnlyOne = !hidden.has(code) && hidden.size === allCodes.length - 1;
    hideOnly(isOnlyOne ? [] : allCodes.filter((other) => other !== code));
  };
  const listMatches = (text) => {
    const matches = categories.filter(({ name }) => name.toLowerCase().includes(text));
    listed = matches.slice(0, MAX_ENTRIES);
    list.replaceChildren(...listed.map((category, i) =>
      createEntry(category, column, { toggle, showOnly }, i)));
    const more = matches.length - listed.length;
    const noMatch = matches.length ? "" : "no category matches";
    note.textContent = more ? `and ${formatCount(more)} more` : noMatch;
    updatePressed();
  };
  addArrowKeys(list);
  container.replaceChildren(
    createElement("div", "heading", Object.assign(createElement("h2", "", key), { title: key }),
      createButton("small-button", "Show all", () => hideOnly([]), "All"),
      createButton("small-button", "Hide all", () => hideOnly(allCodes), "None")),
    ...(categories.length >= MIN_FOR_SEARCH ? [createSearchBox(listMatches)] : []),
    list,
    note,
    Object.assign(createElement("p", "note"), { id: "labels-note", hidden: true }),
    ...(onQuantileChange ? [createOutlierSlider(quantile, onQuantileChange)] : []),
  );
  listMatches("");
}

function createEntry({ name, code, cellCount }, column, { toggle, showOnly }, index) {
  const onClick = (event) => (event.shiftKey ? showOnly(code) : toggle(code));
  const entry = createButton("entry", name, onClick, createSwatch(column, code),
    createElement("span", "text", name),
    createElement("span", "number", formatCount(cellCount)));
  entry.tabIndex = index ? -1 : 0;
  entry.setAttribute("aria-keyshortcuts", "Shift+Enter");
  const title = `Show only ${name}; click again to show all`;
  const onlyButton = createButton("only", title, () => showOnly(code), "only");
  onlyButton.tabIndex = -1; // Shift+Enter on the entry does the same
  return createElement("li", "", entry, onlyButton);
}

/** Makes the list one stop of the Tab key, in which the arrow keys go from entry to entry. */
function addArrowKeys(list) {
  list.addEventListener("keydown", (event) => {
    const items = [...list.children];
    const at = items.indexOf(event.target.parentNode);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (event.key === "Enter" && event.shiftKey) items[at].lastChild.click();
    else if (to === undefined) return;
    items[to]?.firstChild.focus();
    event.preventDefault();
  });
  list.addEventListener("focusin", ({ target }) => {
    for (const { firstChild } of list.children) {
      firstChild.tabIndex = firstChild === target ? 0 : -1;
    }
  });
}

function createSearchBox(onSearch) {
  const input = Object.assign(createElement("input"), {
    type: "search", placeholder: "Find a category", autocomplete: "off", spellcheck: false,
  });
  input.setAttribute("aria-label", "Find a category");
  input.addEventListener("input", () => onSearch(input.value.trim().toLowerCase()));
  return input;
}

function createOutlierSlider(quantile, onQuantileChange) {
  const output = createElement("output");
  const input = Object.assign(createElement("input"), {
    type: "range", id: "outliers", min: 0.02, max: 1, step: 0.01, value: quantile,
  });
  const updateOutput = () => {
    const value = Number(input.value);
    output.value = value < 1 ? `farthest ${Math.round(100 - 100 * value)}% hidden` : "off";
    input.setAttribute("aria-valuetext", output.value);
  };
  input.addEventListener("input", () => {
    updateOutput();
    onQuantileChange(Number(input.value));
  });
  updateOutput();
  const label = createElement("label", "", "Outlier filter ", output);
  label.htmlFor = "outliers";
  label.title =
    "Hides the cells of each category that are farthest from its mean in latent space";
  return createElement("div", "control", label, input);
}
