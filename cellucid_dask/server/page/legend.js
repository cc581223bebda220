// The legend of a categorical field: categories to hide, to see alone, to find; and its outliers.

import { categoryColour } from "./colours.js";
import { button, count, element } from "./elements.js";

const MOST = 500; // more rows than that help nobody and make the page slow
const MANY = 24; // from here on there is a box to find a category

/**
 * Shows a categorical field.
 *
 * `hidden` is the set of codes that are not shown; it is changed, and `changed()` called. The
 * quantile of the outlier filter goes to `filter(quantile)`; without such a function there is none.
 */
export function showCategories(place, column, hidden, { changed, quantile, filter }) {
  const { rows, key } = column;
  const list = element("ul", "entries");
  const note = element("p", "note");
  let listed = [];
  const press = () => [...list.children].forEach((item, i) => {
    item.firstChild.ariaPressed = String(!hidden.has(listed[i].code));
  });
  const update = (codes) => {
    hidden.clear();
    codes.forEach((code) => hidden.add(code));
    press();
    changed();
  };
  const all = rows.map(({ code }) => code);
  const toggle = (code) =>
    update(hidden.has(code) ? [...hidden].filter((other) => other !== code) : [...hidden, code]);
  const solo = (code) => {
    const alone = !hidden.has(code) && hidden.size === all.length - 1;
    update(alone ? [] : all.filter((other) => other !== code));
  };
  const show = (text) => {
    const found = rows.filter(({ name }) => name.toLowerCase().includes(text));
    listed = found.slice(0, MOST);
    list.replaceChildren(...listed.map((row, i) => item(row, column, { toggle, solo }, i)));
    const more = found.length - listed.length;
    note.textContent = more ? `and ${count(more)} more` : found.length ? "" : "no such category";
    press();
  };
  walk(list);
  place.replaceChildren(
    element("div", "heading", Object.assign(element("h2", "", key), { title: key }),
      button("all", "Show all", () => update([]), "All"),
      button("all", "Hide all", () => update(all), "None")),
    ...(rows.length >= MANY ? [finder(show)] : []),
    list,
    note,
    ...(filter ? [slider(quantile, filter)] : []),
  );
  show("");
}

/** A dot in the colour of a category. */
export function swatch(code, { missing }) {
  const dot = element("span", "swatch");
  if (code !== missing) dot.style.backgroundColor = categoryColour(code);
  return dot;
}

function item({ name, code, cells }, column, { toggle, solo }, index) {
  const clicked = (event) => (event.shiftKey ? solo(code) : toggle(code));
  const entry = button("entry", name, clicked, swatch(code, column), element("span", "text", name),
    element("span", "number", count(cells)));
  entry.tabIndex = index ? -1 : 0;
  entry.setAttribute("aria-keyshortcuts", "Shift+Enter");
  const only = button("only", `Only ${name}; again for all`, () => solo(code), "only");
  only.tabIndex = -1; // Shift+Enter on the entry does the same
  return element("li", "", entry, only);
}

/** One stop of the Tab key; arrows go from row to row. */
function walk(list) {
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

function finder(show) {
  const input = Object.assign(element("input"), {
    type: "search", placeholder: "Find a category", autocomplete: "off", spellcheck: false,
  });
  input.setAttribute("aria-label", "Find a category");
  input.addEventListener("input", () => show(input.value.trim().toLowerCase()));
  return input;
}

function slider(quantile, filter) {
  const shown = element("output");
  const input = Object.assign(element("input"), {
    type: "range", id: "outliers", min: 0.02, max: 1, step: 0.01, value: quantile,
  });
  const tell = () => {
    const at = Number(input.value);
    shown.value = at < 1 ? `farthest ${Math.round(100 - 100 * at)}% hidden` : "off";
    input.setAttribute("aria-valuetext", shown.value);
  };
  input.addEventListener("input", () => {
    tell();
    filter(Number(input.value));
  });
  tell();
  const label = element("label", "", "Outlier filter ", shown);
  label.htmlFor = "outliers";
  label.title = "Hides the cells of each category that are farthest from its mean in latent space";
  return element("div", "control", label, input);
}
